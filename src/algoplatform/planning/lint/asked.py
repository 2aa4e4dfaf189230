"""What a caller asks of lint: conditions on images, severities, rules, a page of the findings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from algoplatform.domain.errors import Malformed, Refused, clip
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.fields import MAX_INTEGER, is_blank
from algoplatform.domain.search import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Conditions, check_conditions, check_positive
from algoplatform.planning.lint.rules import RULES, SEVERITIES

# Those of a search by key have no meaning for findings.
_KEYS: Final = ("after", "before")
_OWN: Final = ("severity", "rule", "page", "pageSize")
# Of a list of names; there are fewer rules.
_MOST_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """Which findings to give; None for all. Positions `first` to `end` of these are on the page."""

    conditions: Conditions
    severities: frozenset[str] | None = None
    rules: frozenset[str] | None = None
    first: int = 0
    end: int | None = None


def check_asked(data: Mapping[str, Any], *, conditions: bool = True) -> Asked:
    """Validate query parameters; without `conditions`, those of a search are unknown. Raises Refused with all faults."""
    faults: list[Fault] = []
    found: dict[str, Any] = {}
    for name, allowed in (("severity", SEVERITIES), ("rule", tuple(RULES))):
        found[name] = _names(name, data.get(name), allowed, faults)
    for name, limit in (("page", MAX_INTEGER), ("pageSize", MAX_PAGE_SIZE)):
        found[name] = _positive(name, data.get(name), limit, faults)
    rest = {name: value for name, value in data.items() if name not in _OWN}
    unknown = [name for name, value in rest.items() if not is_blank(value) and (name in _KEYS or not conditions)]
    faults += [Fault(clip(name), Code.FIELD, f"{clip(name)}不是已知的查询条件") for name in unknown[:_MOST_FAULTS]]
    wanted = _conditions({name: value for name, value in rest.items() if name not in unknown}, faults)
    if faults or wanted is None:
        raise Refused(faults)
    first, end = _window(found["page"], found["pageSize"])
    return Asked(wanted, found["severity"], found["rule"], first, end)


def _conditions(data: dict[str, Any], faults: list[Fault]) -> Conditions | None:
    try:
        return check_conditions(data)
    except Refused as refused:
        faults += refused.faults
        return None


def _names(name: str, value: object, allowed: tuple[str, ...], faults: list[Fault]) -> frozenset[str] | None:
    if is_blank(value):
        return None
    if type(value) is not str:
        faults.append(Fault(name, Code.FIELD, f"{name}须为字符串"))
        return None
    items = {item.strip() for item in value.split(",")} - {""}
    wrong = sorted(items.difference(allowed))
    hint = f"，须为{'、'.join(allowed)}" if name == "severity" else ""
    faults += [Fault(name, Code.FIELD, f"{name}中没有“{clip(item)}”{hint}") for item in wrong[:_MOST_FAULTS]]
    return frozenset(items) or None


def _positive(name: str, value: object, limit: int, faults: list[Fault]) -> int | None:
    if is_blank(value):
        return None
    try:
        return check_positive(value, limit=limit)
    except Malformed as error:
        faults += [Fault(name, Code.FIELD, f"{name}{text}") for text in error.faults]
        return None


def _window(page: int | None, size: int | None) -> tuple[int, int | None]:
    if page is None and size is None:
        return 0, None
    size = size or DEFAULT_PAGE_SIZE
    first = ((page or 1) - 1) * size
    return first, first + size
