"""Indexes on the filter columns, each in result order within a value.

A page for one value is read from its index directly, whether few or most images have the value. After the
value and the sort key, an entry holds the values of the other filters, long ones cut to a prefix, so that
images that do not match those are skipped within the index. The leading column is an expression that occurs
in no other condition, so PostgreSQL cannot pick another index by mistake, even without statistics.

algoType and useableFlag have few values: two of them may each be common, yet never occur together. So both share
an index, whose keys are the nine pairs of values. Namespaces are few and large as well, so another index has these
pairs within each namespace.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from algoplatform.domain.search import Conditions, fold_exact

_ALGO_TYPES: Final = ("0", "1", "2")
_FLAGS: Final = ("0", "1", "-")
KIND: Final = "(algo_type || COALESCE(useable_flag, '-'::text))"
# Length in characters of the prefix of a value that an index holds.
_CUT: Final = 128
# A B-tree entry is limited to about 2,700 bytes: longer values, which are rare, have their own index.
_SHORT_BYTES: Final = 256

# The filters that are by nature most selective come first. The index of the last one is preferred to others only if
# it has so few images that all of them can be read, so it needs no values of other filters.
COLUMNS: Final = ("event_type", "incident_id", "factory", "namespace")
FILTERS: Final = (*COLUMNS, "algo_type", "useable_flag")
# Columns that may be long: the indexes of other filters hold only this many characters of them.
LONG_COLUMNS: Final = ("incident_id", "factory")
WIDTH: Final = 16


def cut(column: str, width: int = _CUT) -> str:
    """Return SQL for a prefix of a filter column."""
    return f'"left"({"event_type::text" if column == "event_type" else column}, {width})'


def condition_of(column: str, *, short: bool = True) -> str:
    """Return the condition on the live images that an index contains."""
    if column in LONG_COLUMNS:
        return f"octet_length({column}) {'<=' if short else '>'} {_SHORT_BYTES}"
    return f"{column} IS NOT NULL"


def has_others(column: str, *, short: bool = True) -> bool:
    """Return whether the index of a filter column also holds the values of other filters."""
    return short and column != COLUMNS[-1]


# The leading column of the index of the pairs within each namespace, and the condition on the images in it.
NAMESPACE_KIND: Final = f"({KIND} || {cut('namespace')})"
IN_NAMESPACE: Final = condition_of("namespace")


@dataclass(frozen=True, slots=True)
class Lead:
    """An index and its search keys: the prefix of a value, or pairs of algoType and useableFlag."""

    column: str | None
    expression: str
    value: str | Sequence[str]
    where: str
    has_others: bool = False

    def where_is(self, argument: str) -> str:
        """Return the condition for the value in an argument, or for the pair `key`."""
        return f"{self.where} AND {self.expression} = {argument if self.column else 'key'}"

    def few(self, argument: str, most: int) -> str:
        """Return SQL that counts the matching images, up to `most`."""
        found = f"SELECT FROM image WHERE {self.where_is(argument)} LIMIT {most}"
        if not self.column:
            found = f"SELECT FROM unnest({argument}::text[]) AS key, LATERAL ({found}) AS found LIMIT {most}"
        return f"(SELECT count(*) FROM ({found}) AS few)"


def has_filters(conditions: Conditions) -> bool:
    """Return whether any filter may be set; most searches are for text alone."""
    return not conditions.model_fields_set.isdisjoint(FILTERS)


def values_of(conditions: Conditions) -> dict[str, Any]:
    """Return the values of the filters, by column."""
    values: dict[str, Any] = {}
    for column in FILTERS:
        value = getattr(conditions, column)
        if value is not None:
            values[column] = fold_exact(value) if column in LONG_COLUMNS else value
    return values


def leads_of(conditions: Conditions) -> list[Lead]:
    """Return the usable indexes, the most selective first."""
    values = values_of(conditions)
    columns = [column for column in COLUMNS if column in values]
    if len(columns) < len(values) and columns in ([], ["namespace"]):
        return [_kinds(conditions)]
    return [_lead(column, str(values[column])) for column in columns]


def _kinds(conditions: Conditions) -> Lead:
    types = [conditions.algo_type] if conditions.algo_type else _ALGO_TYPES
    flags = [conditions.useable_flag] if conditions.useable_flag else _FLAGS
    keys = list(map("".join, product(types, flags)))
    if conditions.namespace is None:
        return Lead(None, KIND, keys, "live")
    in_namespace = [key + conditions.namespace[:_CUT] for key in keys]
    return Lead(None, NAMESPACE_KIND, in_namespace, f"live AND {IN_NAMESPACE}")


def _lead(column: str, value: str) -> Lead:
    short = column not in LONG_COLUMNS or len(value.encode()) <= _SHORT_BYTES
    where = f"live AND {condition_of(column, short=short)}"
    return Lead(column, cut(column), value[:_CUT], where, has_others(column, short=short))
