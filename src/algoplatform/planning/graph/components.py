"""Strongly connected components and levels; iterative, as a chain of dependencies may exceed Python's stack."""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_UNSEEN: Final = -1


def adjacency(size: int, edges: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the targets of each node, without edges from a node to itself, which do not affect the order."""
    targets: list[list[int]] = [[] for _ in range(size)]
    for source, target in edges:
        if source != target:
            targets[source].append(target)
    return targets


def components(targets: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the strongly connected components, each after all those that it reaches (Tarjan, 1972)."""
    # Discovery numbers count from 1, 0 means unseen; `low` is the lowest number known to be reachable.
    order, low = array("i", bytes(4 * len(targets) + 4)), array("i", bytes(4 * len(targets) + 4))
    is_open = bytearray(len(targets))
    pending: list[int] = []
    count = 0
    # A virtual node after the last one has edges to all nodes.
    path = [(len(targets), iter(range(len(targets))))]
    while path:
        node, rest = path[-1]
        for target in rest:
            if not order[target]:
                count += 1
                order[target] = low[target] = count
                if not targets[target]:
                    yield [target]
                    continue
                is_open[target] = True
                pending.append(target)
                path.append((target, iter(targets[target])))
                break
            if is_open[target] and order[target] < low[node]:
                low[node] = order[target]
        else:
            path.pop()
            if path and low[node] < low[path[-1][0]]:
                low[path[-1][0]] = low[node]
            if path and low[node] == order[node]:
                yield _popped(pending, node, is_open)


def _popped(pending: list[int], root: int, is_open: bytearray) -> list[int]:
    at = len(pending) - 1
    while pending[at] != root:
        at -= 1
    members = pending[at:]
    del pending[at:]
    for member in members:
        is_open[member] = False
    return members


def levels(targets: Sequence[Sequence[int]], found: Sequence[Sequence[int]]) -> list[int]:
    """Return the level of each node: 0 without targets, else one more than the highest of its targets.

    `found` are the results of `components`; the members of a component share a level.
    """
    level = [_UNSEEN] * len(targets)
    for members in found:
        highest = _UNSEEN
        for member in members:
            for target in targets[member]:
                # A target in the same component has no level yet, and does not count.
                if level[target] > highest:
                    highest = level[target]
        for member in members:
            level[member] = highest + 1
    return level


def walk(targets: Sequence[Sequence[int]], members: Sequence[int]) -> list[int]:
    """Return the members of a component in the order of a walk from the first; a simple cycle keeps its order."""
    inside, seen, path, walked = set(members), {members[0]}, [members[0]], []
    while path:
        node = path.pop()
        walked.append(node)
        fresh = [target for target in targets[node] if target in inside and target not in seen]
        seen.update(fresh)
        path.extend(reversed(fresh))
    return walked


def distances(targets: Sequence[Sequence[int]], root: int) -> dict[int, int]:
    """Return the smallest number of edges from the root to each node that it reaches, except itself."""
    steps, waiting = {root: 0}, deque([root])
    while waiting:
        node = waiting.popleft()
        for target in targets[node]:
            if target not in steps:
                steps[target] = steps[node] + 1
                waiting.append(target)
    del steps[root]
    return steps
