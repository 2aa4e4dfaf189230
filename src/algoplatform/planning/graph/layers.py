"""Orders images within the layers of a drawing so that few edges cross (Sugiyama's method).

Each level of the graph is a layer. A block is a component: one image, or the images of a cycle, which stay
together. An edge that spans several layers passes a joint in each layer between. All long edges to one image
share its joints, so a drawing has at most as many joints as images times layers.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from algoplatform.planning.graph.model import Graph

_SWEEPS: Final = 24
# Links that all sweeps together may compare, and the most links for which adjacent blocks are also swapped in pairs.
_WORK: Final = 400_000
_FEW_LINKS: Final = 1_500


@dataclass(slots=True)
class Block:
    """Images of one layer that stay together, or a joint of the long edges to the image `target`."""

    layer: int
    members: list[int]
    target: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A segment of an edge: from a slot of a block to a slot of a block in the next lower layer."""

    source: int
    source_slot: int
    target: int
    target_slot: int


@dataclass(slots=True)
class Layers:
    """Blocks, the links between neighbouring layers, and in `rows` the order of the blocks by layer, lowest first.

    `first` maps each edge between two blocks to its first link, after which it follows the joints of its target.
    """

    blocks: list[Block]
    links: list[Link]
    rows: list[list[int]]
    first: dict[tuple[int, int], Link]
    above: dict[int, list[int]]
    below: dict[int, list[int]]

    @classmethod
    def of(cls, graph: Graph) -> "Layers":
        layers = _Builder(graph).built()
        _reduce_crossings(layers)
        return layers


class _Builder:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        rings = {graph.ring_of[ring[0]]: ring for ring in graph.cycles}
        members = [rings.get(at, found) for at, found in enumerate(graph.components)]
        self._blocks = [Block(graph.levels[found[0]], found) for found in members]
        self._slot = {at: slot for found in members for slot, at in enumerate(found)}
        self._links: list[Link] = []
        self._first: dict[tuple[int, int], Link] = {}
        self._joints: dict[tuple[int, int], int] = {}
        self._above: dict[int, list[int]] = defaultdict(list)
        self._below: dict[int, list[int]] = defaultdict(list)

    def built(self) -> Layers:
        of = self._graph.ring_of
        for source, target in self._graph.sorted_edges:
            if of[source] != of[target]:
                position = len(self._links)
                self._connect(of[source], self._slot[source], target)
                self._first[source, target] = self._links[position]
        rows: list[list[int]] = [[] for _ in range(1 + max(self._graph.levels))]
        for at in self._by_visit():
            rows[self._blocks[at].layer].append(at)
        return Layers(self._blocks, self._links, rows, self._first, self._above, self._below)

    def _connect(self, source: int, slot: int, target: int) -> None:
        """Link a block to an image, through joints if the image is several layers below."""
        layer, last = self._blocks[source].layer - 1, self._graph.levels[target]
        while layer > last:
            joint = self._joints.setdefault((target, layer), len(self._blocks))
            self._link(Link(source, slot, joint, 0))
            if joint < len(self._blocks):
                return
            self._blocks.append(Block(layer, [], target))
            source, slot, layer = joint, 0, layer - 1
        self._link(Link(source, slot, self._graph.ring_of[target], self._slot[target]))

    def _link(self, link: Link) -> None:
        self._links.append(link)
        self._above[link.target].append(link.source)
        self._below[link.source].append(link.target)

    def _name(self, at: int) -> str:
        block = self._blocks[at]
        return self._graph.references[block.members[0] if block.target is None else block.target]

    def _by_visit(self) -> list[int]:
        """Return all blocks in depth-first order, which already avoids many crossings."""
        seen: dict[int, None] = {}
        tops = sorted(range(len(self._blocks)), key=lambda at: (-self._blocks[at].layer, self._name(at)))
        path = tops[::-1]
        while path:
            at = path.pop()
            if at not in seen:
                seen[at] = None
                path.extend(reversed(self._below[at]))
        return list(seen)


def _reduce_crossings(layers: Layers) -> None:
    """Sort each layer by the mean position of its neighbours, downward and upward in turn; keep the best order."""
    best, fewest = [row[:] for row in layers.rows], crossings(layers)
    sweeps = min(_SWEEPS, max(2, _WORK // (1 + len(layers.links))))
    for sweep in range(sweeps):
        if not fewest:
            break
        downward = sweep % 2 == 0
        neighbours = layers.above if downward else layers.below
        rows = layers.rows[-2::-1] if downward else layers.rows[1:]
        place = {at: place for row in layers.rows for place, at in enumerate(row)}
        for row in rows:
            row.sort(key=lambda at: _mean([place[other] for other in neighbours[at]], place[at]))
            place.update((at, position) for position, at in enumerate(row))
        if len(layers.links) <= _FEW_LINKS:
            _swap_neighbours(layers, place)
        found = crossings(layers)
        if found < fewest:
            best, fewest = [row[:] for row in layers.rows], found
    layers.rows = best


def _mean(places: Sequence[int], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def _swap_neighbours(layers: Layers, place: dict[int, int]) -> None:
    for row in layers.rows:
        for at in range(len(row) - 1):
            first, second = row[at], row[at + 1]
            gain = 0
            for side in (layers.above, layers.below):
                one = sorted(place[other] for other in side[first])
                two = sorted(place[other] for other in side[second])
                gain += _inversions(one, two) - _inversions(two, one)
            if gain > 0:
                row[at], row[at + 1] = second, first
                place[first], place[second] = at + 1, at


def _inversions(left: list[int], right: list[int]) -> int:
    """Count the pairs of a value of `left` and a smaller one of `right`; both are sorted."""
    return sum(bisect_left(right, end) for end in left)


def crossings(layers: Layers) -> int:
    """Count the crossings of links between neighbouring layers."""
    place = {at: place for row in layers.rows for place, at in enumerate(row)}
    by_layer: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for link in layers.links:
        by_layer[layers.blocks[link.target].layer].append((place[link.source], place[link.target]))
    total = 0
    for ends in by_layer.values():
        seen: list[int] = []
        for _, end in sorted(ends):
            total += len(seen) - bisect_left(seen, end + 1)
            insort(seen, end)
    return total
