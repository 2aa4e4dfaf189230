"""The indexes that hold the images of one value of a filter together, in the order of the answer.

A page of one value is read off such an index at once, whether few images have the value or most. Behind the value and the order,
an entry holds the other filters' values, long ones by their first characters: images that do not meet those are passed over within
the index. An index begins with an expression that no condition but its own has: PostgreSQL cannot choose another by mistake,
however little it knows of the table.

algoType and useableFlag have few values, so that any two of them may be common and never meet: they share an index, of which
the nine pairs of values are the keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from algoplatform.domain.search import Conditions, fold_exact

_ALGO_TYPES: Final = ("0", "1", "2")
_FLAGS: Final = ("0", "1", "-")
KIND: Final = "(algo_type || COALESCE(useable_flag, '-'::text))"
# Characters of a value by which an index holds it.
_CUT: Final = 128
# An entry of a B-tree has room for some 2,700 bytes: longer values, which are rare, have an index of their own.
_SHORT_BYTES: Final = 256

# The rarer a filter's values by the nature of the filter, the further in front it stands.
COLUMNS: Final = ("event_type", "incident_id", "factory", "namespace")
FILTERS: Final = (*COLUMNS, "algo_type", "useable_flag")
# Values that may be long are beside another in its index by so many characters.
LONG_COLUMNS: Final = ("incident_id", "factory")
WIDTH: Final = 16


def cut(column: str, width: int = _CUT) -> str:
    """Give the first characters of a filter's column."""
    return f'"left"({"event_type::text" if column == "event_type" else column}, {width})'


def condition_of(column: str, *, short: bool = True) -> str:
    """Tell which of the live images an index holds."""
    if column in LONG_COLUMNS:
        return f"octet_length({column}) {'<=' if short else '>'} {_SHORT_BYTES}"
    return f"{column} IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Lead:
    """One of the indexes and what to look up in it: a value's first characters, or pairs of algoType and useableFlag."""

    column: str | None
    value: str | Sequence[str]
    where: str
    has_others: bool = False

    def where_is(self, argument: str) -> str:
        """Find the images whose value, or of each pair of values the `key`, an argument gives."""
        return f"{self.where} AND {cut(self.column)} = {argument}" if self.column else f"live AND {KIND} = key"

    def few(self, argument: str, most: int) -> str:
        """Count these images, up to `most`."""
        found = f"SELECT FROM image WHERE {self.where_is(argument)} LIMIT {most}"
        if not self.column:
            found = f"SELECT FROM unnest({argument}::text[]) AS key, LATERAL ({found}) AS found LIMIT {most}"
        return f"(SELECT count(*) FROM ({found}) AS few)"


def values_of(conditions: Conditions) -> dict[str, Any]:
    """Give what the filters ask for, by column."""
    values = {
        "event_type": conditions.event_type,
        "incident_id": fold_exact(conditions.incident_id),
        "factory": fold_exact(conditions.factory),
        "namespace": conditions.namespace,
        "algo_type": conditions.algo_type,
        "useable_flag": conditions.useable_flag,
    }
    return {column: value for column, value in values.items() if value is not None}


def leads_of(conditions: Conditions) -> list[Lead]:
    """Give the indexes by which the images can be found, the likeliest to hold few of them first."""
    values = values_of(conditions)
    leads = [_lead(column, str(values[column])) for column in COLUMNS if column in values]
    if not leads and values:
        types = [conditions.algo_type] if conditions.algo_type else _ALGO_TYPES
        flags = [conditions.useable_flag] if conditions.useable_flag else _FLAGS
        leads = [Lead(None, list(map("".join, product(types, flags))), "live")]
    return leads


def _lead(column: str, value: str) -> Lead:
    short = column not in LONG_COLUMNS or len(value.encode()) <= _SHORT_BYTES
    where = f"live AND {condition_of(column, short=short)}"
    return Lead(column, value[:_CUT], where, short)
