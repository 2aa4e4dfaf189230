"""The query of a lint run: conditions on images, severities, rules, and a page of the findings."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from algoplatform.domain.errors import Malformed, Refused, clip
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.fields import MAX_INTEGER, is_blank
from algoplatform.domain.record.wording import visible
from algoplatform.domain.requests import Checks, read_fields
from algoplatform.domain.search import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Conditions, check_conditions, check_positive
from algoplatform.planning.lint.rules import RULES, SEVERITIES

# Findings have no pages by key, unlike the images of a search.
_KEYS: Final = ("after", "before")
# The most faults to report for one list of names, and the most unknown parameters to report.
_MOST_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """Which findings to return, None for all; the page holds positions `first`, counted from 0, to `end`, exclusive."""

    conditions: Conditions
    severities: frozenset[str] | None = None
    rules: frozenset[str] | None = None
    first: int = 0
    end: int | None = None


def check_asked(data: Mapping[str, Any], *, conditions: bool = True) -> Asked:
    """Validate query parameters; without `conditions`, a search's are unknown. Raises Refused with all faults."""
    found, faults, _ = read_fields({name: data[name] for name in _OWN if name in data}, _OWN)
    rest = {name: value for name, value in data.items() if name not in _OWN}
    unknown = [name for name, value in rest.items() if not is_blank(value) and (name in _KEYS or not conditions)]
    faults += [Fault(clip(name), Code.FIELD, f"{visible(name)}不是已知的查询条件") for name in unknown[:_MOST_FAULTS]]
    try:
        wanted = check_conditions({name: value for name, value in rest.items() if name not in unknown})
    except Refused as refused:
        raise Refused([*faults, *refused.faults]) from None
    if faults:
        raise Refused(faults)
    return Asked(wanted, found.get("severity"), found.get("rule"), *_window(found.get("page"), found.get("pageSize")))


def _names(value: object, allowed: Collection[str], hint: str = "") -> frozenset[str] | None:
    if type(value) is not str:
        raise Malformed("须为字符串")
    items = {item.strip() for item in value.split(",")} - {""}
    if wrong := sorted(items.difference(allowed)):
        raise Malformed(*(f"中没有“{clip(item)}”{hint}" for item in wrong[:_MOST_FAULTS]))
    return frozenset(items) or None


def _window(page: int | None, size: int | None) -> tuple[int, int | None]:
    if page is None and size is None:
        return 0, None
    size = size or DEFAULT_PAGE_SIZE
    first = ((page or 1) - 1) * size
    return first, first + size


_OWN: Final[Checks] = {
    "severity": partial(_names, allowed=SEVERITIES, hint=f"，须为{'、'.join(SEVERITIES)}"),
    "rule": partial(_names, allowed=RULES),
    "page": partial(check_positive, limit=MAX_INTEGER),
    "pageSize": partial(check_positive, limit=MAX_PAGE_SIZE),
}
