"""Coordinates of a layered drawing, in pixels: dependents left, dependencies right."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from algoplatform.planning.graph.layers import Layers

ROW: Final = 40
BOX: Final = 28
MARGIN: Final = 28
HEAD: Final = 64
# Height of a joint: a line needs less than a box.
_LANE: Final = 12
# Rounds in which neighbours on one side pull a block, then those on both sides; _LINK_ROUNDS bounds rounds x links.
_ONE_SIDED: Final = 8
_TWO_SIDED: Final = 24
_LINK_ROUNDS: Final = 200_000
# How strongly a link pulls, by the number of joints at its ends (0, 1, 2). A joint follows its target more than
# its source, so that a long line turns once and then runs straight.
_STRENGTH: Final = (1.0, 2.0, 16.0)
# Space for arrows between two layers, and its maximum where many lines turn.
_GAP: Final = 56
_GAP_MOST: Final = 130


# The block at the other end, the offset of its slot in pixels, the strength, and whether that block is above.
_Pull: TypeAlias = tuple[int, float, float, bool]


@dataclass(frozen=True, slots=True)
class Placement:
    """`y` of each block's first slot (its centre), `x` and width of each layer, and the size of the drawing."""

    y: dict[int, float]
    x: list[float]
    widths: list[float]
    width: float
    height: float


def place(layers: Layers, widths: list[float], arcs: Sequence[float]) -> Placement:
    """Place the blocks; `widths` holds the width of each layer's boxes, `arcs` the room right of them."""
    y = _heights(layers)
    lowest = min(y.values())
    y = {at: value - lowest + HEAD + BOX / 2 for at, value in y.items()}
    height = max(value + ROW * max(0, len(layers.blocks[at].members) - 1) for at, value in y.items())
    x, left = [0.0] * len(widths), float(MARGIN)
    turning: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for link in layers.links:
        turning[layers.blocks[link.source].layer].add((link.source, link.source_slot))
    for layer in range(len(widths) - 1, -1, -1):
        x[layer] = left
        room = arcs[layer] + (min(_GAP_MOST, _GAP + 2 * len(turning[layer])) if layer else 0)
        left += widths[layer] + room
    return Placement(y, x, widths, left + MARGIN, height + BOX / 2 + MARGIN)


def _heights(layers: Layers) -> dict[int, float]:
    """Return each block's y: blocks move towards their neighbours, left and right in turn, and keep their order."""
    y: dict[int, float] = {}
    for row in layers.rows:
        top = 0.0
        for at in row:
            y[at] = top
            top += _size(layers, at)
    pulls: dict[int, list[_Pull]] = defaultdict(list)
    for link in layers.links:
        offset = (link.target_slot - link.source_slot) * ROW
        strength = _STRENGTH[sum(layers.blocks[at].target is not None for at in (link.source, link.target))]
        pulls[link.source].append((link.target, offset, strength, False))
        pulls[link.target].append((link.source, -offset, min(strength, _STRENGTH[1]), True))
    rounds = min(_ONE_SIDED + _TWO_SIDED, max(4, _LINK_ROUNDS // (1 + len(layers.links))))
    for turn in range(rounds):
        rows = layers.rows if turn % 2 == 0 else layers.rows[::-1]
        both = turn >= min(_ONE_SIDED, rounds // 2)
        for row in rows:
            wanted = [_wanted(y, at, pulls[at], above=turn % 2 == 1, both=both) for at in row]
            y.update(zip(row, _spread(layers, row, wanted), strict=True))
    return y


def _size(layers: Layers, at: int) -> float:
    members = layers.blocks[at].members
    return ROW * len(members) + (ROW / 2 if len(members) > 1 else 0) if members else _LANE


def _wanted(y: dict[int, float], at: int, pulls: Sequence[_Pull], *, above: bool, both: bool) -> tuple[float, float]:
    """Return where a block should be, and how strongly it is pulled there."""
    total = weight = 0.0
    for other, offset, strength, is_above in pulls:
        if both or is_above == above:
            total += (y[other] + offset) * strength
            weight += strength
    return (total / weight, weight) if weight else (y[at], 0.1)


def _spread(layers: Layers, row: Sequence[int], wanted: Sequence[tuple[float, float]]) -> list[float]:
    """Return the positions closest to the wanted ones that keep the order of the row and do not overlap.

    Closest by weighted least squares. With the blocks' own heights subtracted, this is isotonic regression:
    neighbours that would pass each other form a group at their common mean.
    """
    tops, top = [], 0.0
    for before, at in zip([None, *row[:-1]], row, strict=True):
        if before is not None:
            top += _distance(layers, before, at)
        tops.append(top)
    groups: list[tuple[float, float, int]] = []
    for (goal, weight), offset in zip(wanted, tops, strict=True):
        total, heavy, count = (goal - offset) * weight, weight, 1
        while groups and groups[-1][0] / groups[-1][1] >= total / heavy:
            other = groups.pop()
            total, heavy, count = total + other[0], heavy + other[1], count + other[2]
        groups.append((total, heavy, count))
    means = [total / heavy for total, heavy, count in groups for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, tops, strict=True)]


def _distance(layers: Layers, upper: int, lower: int) -> float:
    """Return the distance between the first slots of two neighbouring blocks."""
    inside = ROW * max(0, len(layers.blocks[upper].members) - 1)
    ends = (_size(layers, at) - ROW * max(0, len(layers.blocks[at].members) - 1) for at in (upper, lower))
    return inside + sum(ends) / 2
