"""The order in which images can be removed: dependents first, with an update for each cycle to cut."""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Final

from algoplatform.planning.graph.model import Graph

# Steps for comparing the cuts of one component; after them the first candidate is taken.
_STEPS: Final = 200_000


def removal_order(graph: Graph) -> list[Any]:
    """Return references in an order in which no image is removed before its dependents.

    The members of a cycle form one entry: `{"cycle": [references], "cut": [from, to]}`. They can be removed in
    this order once an update has removed `to` from the dependencies of `from`. If one cut does not free all
    members of a component, it has several consecutive entries, each with the members that its cut frees; an
    empty list means that the next cut is needed as well.
    """
    name = graph.references
    order: list[Any] = []
    for members in _dependents_first(graph):
        if len(members) == 1:
            order.append(name[members[0]])
            continue
        for freed, (source, target) in _Knot(graph, members).opened():
            order.append({"cycle": [name[at] for at in freed], "cut": [name[source], name[target]]})
    return order


def _dependents_first(graph: Graph) -> list[list[int]]:
    level, name = graph.levels, graph.references
    return sorted(graph.components, key=lambda members: (-level[members[0]], min(name[at] for at in members)))


class _Knot:
    """The members of a component that no cut has freed yet."""

    def __init__(self, graph: Graph, members: Sequence[int]) -> None:
        inside = set(members)
        self._name = graph.references.__getitem__
        self._needs = {at: sorted(inside.intersection(graph.needs[at]), key=self._name) for at in members}
        self._users: dict[int, set[int]] = {at: set() for at in members}
        for source, targets in self._needs.items():
            for target in targets:
                self._users[target].add(source)
        # A heap by number of dependents; entries with an outdated number are skipped.
        self._waiting = [(len(users), self._name(at), at) for at, users in self._users.items()]
        heapify(self._waiting)
        self._steps = _STEPS

    def opened(self) -> list[tuple[list[int], tuple[int, int]]]:
        """Return the cuts in order, each with the members that it frees."""
        found = []
        while self._users:
            target = self._best()
            source = min(self._users[target], key=self._name)
            self._cut(source, target)
            freed = [] if self._users[target] else self._freed(target)
            for at in freed:
                del self._users[at]
            for at in freed:
                for other in self._needs[at]:
                    self._cut(at, other)
            found.append((freed, (source, target)))
        return found

    def _cut(self, source: int, target: int) -> None:
        users = self._users.get(target)
        if users is not None:
            users.remove(source)
            heappush(self._waiting, (len(users), self._name(target), target))
            if source in self._users:
                self._needs[source].remove(target)

    def _best(self) -> int:
        """Return the member to free next: the one with the fewest dependents; among equals, the one that frees most."""
        tried: list[tuple[int, str, int]] = []
        best, most = -1, 0
        while self._waiting and (not tried or self._waiting[0][0] == tried[0][0]):
            entry = heappop(self._waiting)
            at = entry[2]
            if at not in self._users or len(self._users[at]) != entry[0]:
                continue
            tried.append(entry)
            freed = len(self._freed(at))
            if freed > most:
                best, most = at, freed
            if most == len(self._users) or self._steps < 0:
                break
        for entry in tried:
            heappush(self._waiting, entry)
        return best

    def _freed(self, first: int) -> list[int]:
        """Return the members that can be removed, in order, once nothing depends on the first."""
        users: dict[int, int] = {first: 0}
        freed, ready = [], [first]
        while ready:
            at = ready.pop()
            freed.append(at)
            for target in self._needs[at]:
                self._steps -= 1
                if target != first and target in self._users:
                    users[target] = users.get(target, len(self._users[target])) - 1
                    if not users[target]:
                        ready.append(target)
        return freed
