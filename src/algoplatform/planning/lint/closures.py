"""Cycles, depths and common closures of the graph of dependencies, over the numbers of images.

Each function is a generator that yields None every few thousand steps, so that the caller can let other tasks run.
"""

from array import array
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from algoplatform.planning.graph.components import components as strongly_connected

MOST_LEVELS: Final = 8
MOST_IMAGES: Final = 50
_STEPS: Final = 5000

Needs: TypeAlias = Sequence[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Component:
    """The images of a cycle, or a single image.

    `level` is the length of the longest chain of dependencies; a cycle counts as one link. `many` is set if the
    closure holds more than MOST_IMAGES images besides the image itself.
    """

    members: list[int]
    level: int
    many: bool


def components(needs: Needs) -> Iterator[Component | None]:
    """Yield the components that are cycles, too deep or too large, dependencies first."""
    closures = _Closures(needs)
    for number, members in enumerate(strongly_connected(needs)):
        if number % _STEPS == 0:
            yield None
        if needs[members[0]] and (found := closures.add(members)):
            yield found


class _Closures:
    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._level = array("i", bytes(4 * len(needs)))
        # Upper bounds of the sizes of closures; MOST_IMAGES + 2 stands for any larger size.
        self._size = array("i", [1]) * len(needs)

    def add(self, members: list[int]) -> Component | None:
        """Measure a component, whose dependencies are measured; return it if it is a cycle, too deep or too large."""
        outside = {need for member in members for need in self._needs[member]}.difference(members)
        level = 1 + max([self._level[need] for need in outside], default=-1)
        size = self._closure(members, outside)
        for member in members:
            self._level[member], self._size[member] = level, size
        many = size > MOST_IMAGES + 1
        return Component(members, level, many) if len(members) > 1 or many or level > MOST_LEVELS else None

    def _closure(self, members: list[int], outside: set[int]) -> int:
        """Return the size of a closure, at most MOST_IMAGES + 2; below that, overlapping closures may count twice."""
        most = MOST_IMAGES + 2
        sizes = [self._size[need] for need in outside]
        bound = len(members) + sum(sizes)
        if bound < most:
            return bound
        if most in sizes:
            return most
        seen = set(members) | outside
        ahead = list(outside)
        while ahead and len(seen) < most:
            fresh = [need for need in self._needs[ahead.pop()] if need not in seen]
            seen.update(fresh)
            ahead += fresh
        return min(most, len(seen))


class Dependents:
    """The reversed graph: the direct dependents of each image, in two flat arrays."""

    def __init__(self, needs: Needs) -> None:
        self._starts = starts = array("i", bytes(4 * (len(needs) + 1)))
        for listed in needs:
            for need in listed:
                starts[need + 1] += 1
        for node in range(len(needs)):
            starts[node + 1] += starts[node]
        at = starts[:]
        self._all = everything = array("i", bytes(4 * starts[-1]))
        for node, listed in enumerate(needs):
            for need in listed:
                everything[at[need]] = node
                at[need] += 1

    def share_closure(self, images: Sequence[int]) -> Generator[None, None, bool]:
        """Return whether the closure of any image holds two of these images.

        Each image marks its dependents, direct and indirect; the closure of one with two marks holds both images.
        """
        starts, everything = self._starts, self._all
        reached = dict(zip(images, images, strict=True))
        ahead = [image for image in images if starts[image] != starts[image + 1]]
        steps = 0
        while ahead:
            node = ahead.pop()
            name = reached[node]
            for dependent in everything[starts[node] : starts[node + 1]]:
                known = reached.get(dependent)
                if known is None:
                    reached[dependent] = name
                    ahead.append(dependent)
                elif known != name:
                    return True
            steps += 1
            if steps % _STEPS == 0:
                yield
        return False
