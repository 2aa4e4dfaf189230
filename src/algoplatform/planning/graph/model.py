"""The dependency graph of some of the registry's images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from algoplatform.planning.graph.components import adjacency, components, levels, walk


@dataclass(frozen=True)
class Graph:
    """Images and all dependencies among them; numbers stand for images, as indexes of the sequences.

    An edge leads from the dependent to its dependency. `root` is the image asked about. `truncated` is set if a
    limit left images out; `total` is the number of images without the limits, None if they were not counted.
    """

    root: int
    image_ids: Sequence[str]
    references: Sequence[str]
    edges: Sequence[tuple[int, int]]
    truncated: bool = False
    total: int | None = None

    @cached_property
    def needs(self) -> list[list[int]]:
        """The dependencies of each image except itself."""
        return adjacency(len(self.references), self.edges)

    @cached_property
    def components(self) -> list[list[int]]:
        """The strongly connected components, dependencies first."""
        return list(components(self.needs))

    @cached_property
    def levels(self) -> list[int]:
        """The level of each image: 0 without a dependency in this graph; the members of a cycle share a level."""
        return levels(self.needs, self.components)

    @cached_property
    def cycles(self) -> list[list[int]]:
        """The components of more than one image, each in the order of a walk from its first reference."""
        name = self.references.__getitem__
        rings = [sorted(members, key=name) for members in self.components if len(members) > 1]
        inside = {member for ring in rings for member in ring}
        needs = {member: sorted(self.needs[member], key=name) for member in inside}
        ordered = [needs.get(at, []) for at in range(len(self.references))] if rings else []
        return sorted((walk(ordered, ring) for ring in rings), key=lambda ring: name(ring[0]))

    @cached_property
    def ring_of(self) -> list[int]:
        """The index in `components` of each image's component."""
        of = [0] * len(self.references)
        for position, members in enumerate(self.components):
            for member in members:
                of[member] = position
        return of

    @cached_property
    def order(self) -> list[int]:
        """All images by level, then reference: dependencies first, in the same order for equal graphs."""
        keys = list(zip(self.levels, self.references, strict=True))
        return sorted(range(len(keys)), key=keys.__getitem__)

    @cached_property
    def sorted_edges(self) -> list[tuple[int, int]]:
        """All edges, sorted by the places of both images in `order`."""
        order, rank = self.order, [0] * len(self.references)
        for position, at in enumerate(order):
            rank[at] = position
        # Each edge becomes one number, as numbers sort several times faster than pairs.
        size = len(order)
        ranked = sorted([rank[source] * size + rank[target] for source, target in self.edges])
        return [(order[place // size], order[place % size]) for place in ranked]

    def document(self) -> dict[str, Any]:
        """Return the graph as the JSON of a response."""
        ids, names, level = self.image_ids, self.references, self.levels
        return {
            "nodes": [{"imageId": ids[at], "reference": names[at], "level": level[at]} for at in self.order],
            "edges": [[ids[source], ids[target]] for source, target in self.sorted_edges],
            "cycles": [[ids[at] for at in ring] for ring in self.cycles],
            "truncated": self.truncated,
            "total": self.total,
        }

    def caption(self) -> str:
        """Return the caption of a drawing: how many images, dependencies and cycles it has, and if any are left out."""
        text = f"{len(self.references)}个镜像，{len(self.edges)}条依赖"
        if self.cycles:
            text += f"，{len(self.cycles)}个循环依赖"
        if not self.truncated:
            return text
        return text + ("，未显示全部" if self.total is None else f"，未显示全部（共{self.total}个镜像）")
