"""Compares all objects of a workload, and derives the workload's state from the differences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from algoplatform.domain.errors import clip
from algoplatform.manifests.drift.live import WORKLOADS
from algoplatform.manifests.drift.three_way import Difference, whole

# By urgency, the most urgent last.
STATES: Final = ("in-sync", "not-ready", "outdated", "orphan", "image-moved", "modified", "both")
WARNINGS: Final = frozenset({"not-ready", "outdated", "orphan"})
ERRORS: Final = frozenset({"image-moved", "modified", "both"})
WORKLOAD: Final = ("", "")
# The role of an object is its kind and name. All workloads have one role: a Deployment may become a StatefulSet.
Role: TypeAlias = tuple[str, str]

_LONG: Final = 1024
_MOST_ITEMS: Final = 50
_DEEP: Final = 6


@dataclass(frozen=True, slots=True)
class Compared:
    """One object with its differences."""

    kind: str
    name: str
    differences: list[Difference]


def role_of(item: Mapping[str, Any]) -> Role:
    return WORKLOAD if item["kind"] in WORKLOADS else (item["kind"], item["metadata"]["name"])


def by_role(objects: Iterable[dict[str, Any]], kinds: Iterable[str]) -> dict[Role, dict[str, Any]]:
    """Return the workload, and the objects of these kinds, by role."""
    return {role: item for item in objects if (role := role_of(item)) == WORKLOAD or role[0] in kinds}


def compare(base: Mapping[Role, Any], ours: Mapping[Role, Any], theirs: Mapping[Role, Any]) -> list[Compared]:
    """Return the objects that differ. For an object that is missing on one side, the only difference is the name."""
    found = []
    for role in {**base, **ours}:
        sides = base.get(role), ours.get(role), theirs.get(role)
        differences = [each if each.path else _existence(each) for each in whole(*sides)]
        if differences:
            shown = next(side for side in reversed(sides) if side is not None)
            found.append(Compared(shown["kind"], shown["metadata"]["name"], differences))
    return found


def state_of(changes: Iterable[str]) -> str:
    """Return the state that follows from changes: `in-sync` for none, `both` for different ones, else the change."""
    kinds = set(changes)
    return "in-sync" if not kinds else kinds.pop() if len(kinds) == 1 else "both"


def brief(value: Any, depth: int = _DEEP) -> Any:
    """Return a value for people to read: long texts, long lists and deep nesting are cut."""
    if isinstance(value, str):
        return clip(value, _LONG)
    if isinstance(value, dict):
        items = list(value.items())[:_MOST_ITEMS] if depth else [("…", None)]
        return {clip(name): brief(each, depth - 1) for name, each in items}
    if isinstance(value, list):
        return [brief(each, depth - 1) for each in value[:_MOST_ITEMS]] if depth else ["…"]
    return value


def _existence(found: Difference) -> Difference:
    names: Sequence[Any] = [side and side["metadata"]["name"] for side in (found.base, found.ours, found.theirs)]
    return replace(found, path="metadata.name", base=names[0], ours=names[1], theirs=names[2])
