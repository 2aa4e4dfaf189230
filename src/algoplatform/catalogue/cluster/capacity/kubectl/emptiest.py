"""Finds the card of a node with the most free memory, without looking at every card."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace

from algoplatform.planning.capacity.model import Card


@dataclass(slots=True)
class Emptiest:
    """The cards of a node and the free MiB of each, which only decrease.

    There is a heap of all cards, and one for each size asked for. Reading a heap corrects its top entry until it is
    up to date.
    """

    cards: Sequence[Card]
    free: list[int] = field(init=False)
    _heaps: dict[int | None, list[tuple[int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.free = [card.memory for card in self.cards]

    def find(self, size: int | None) -> int:
        """Return the first card with the most free memory, of this size if there are any; the node must have cards."""
        heap = self._heap(size) or self._heap(None)
        while -heap[0][0] != self.free[heap[0][1]]:
            at = heap[0][1]
            heapreplace(heap, (-self.free[at], at))
        return heap[0][1]

    def _heap(self, size: int | None) -> list[tuple[int, int]]:
        if size not in self._heaps:
            chosen = [(-self.free[at], at) for at, card in enumerate(self.cards) if size in (None, card.memory)]
            heapify(chosen)
            self._heaps[size] = chosen
        return self._heaps[size]
