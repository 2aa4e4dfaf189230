"""Simulates the Kubernetes scheduler, which places pods one by one, in any order, and never moves them."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from algoplatform.planning.capacity.model import Amounts, Demand, Node
from algoplatform.planning.capacity.room import Room

# Nodes that all orders together may examine: some seconds.
_STEPS: Final = 6_000_000
_LEVELS: Final = 24

_Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Simulation:
    """The number of pending pods in each order; fewer orders than asked for if they take too long."""

    orders: int
    pending: tuple[int, ...]


def simulate(
    demands: Sequence[Demand], nodes: Sequence[Node], rooms: Sequence[Room], orders: int, steps: int = _STEPS
) -> Simulation:
    """Schedule all pods in `orders` random orders, which are the same in every call.

    A pod goes to the node that is least allocated with it (the mean of CPU and memory, as NodeResourcesFit scores by
    default), and there to the first card with enough memory and shares.
    """
    ordered = sorted(demands, key=lambda demand: demand.reference)
    pods = [demand.each for demand in ordered if not demand.oversized for _ in range(demand.replicas)]
    hopeless = sum(demand.replicas for demand in demands if demand.oversized)
    pending: list[int] = []
    for turn in range(orders):
        run = _Run(nodes, rooms, pods, steps)
        # Not for security; the seed gives the same orders in every call.
        left = run.pending(Random(turn).sample(pods, len(pods)))  # noqa: S311
        steps = run.steps
        if steps < 0:
            break
        pending.append(left + hopeless)
    return Simulation(len(pending), tuple(pending))


class _Run:
    """Schedules the pods in one order.

    Nodes of equal size are sorted by their allocation, as all pods rank them alike, and grouped by the largest free
    memory of a card, so that a pod examines only nodes that may hold it.
    """

    def __init__(self, nodes: Sequence[Node], rooms: Sequence[Room], pods: Sequence[Amounts], steps: int) -> None:
        self.steps = steps
        gpus = sorted({each.gpu_memory for each in pods if each.gpu_memory})
        self.bounds = gpus[:: 1 + len(gpus) // _LEVELS]
        self.cpu = [room.cpu for room in rooms]
        self.memory = [room.memory for room in rooms]
        self.pods = [room.pods for room in rooms]
        self.cards = [[list(card) for card in zip(room.card_memory, room.card_shares, strict=True)] for room in rooms]
        sizes = {node.name: (node.cpu or 1, node.memory or 1) for node in nodes}
        self.size = [sizes[room.name] for room in rooms]
        levels = range(len(self.bounds) + 1)
        self.groups: dict[_Size, list[list[tuple[float, int]]]] = {size: [[] for _ in levels] for size in self.size}
        for at in range(len(rooms)):
            insort(self._group(at), (self._allocated(at), at))

    def _allocated(self, at: int) -> float:
        cpu, memory = self.size[at]
        return -self.cpu[at] / cpu - self.memory[at] / memory

    def _group(self, at: int) -> list[tuple[float, int]]:
        largest = max((memory for memory, shares in self.cards[at] if shares), default=0)
        return self.groups[self.size[at]][bisect_right(self.bounds, largest)]

    def pending(self, pods: Sequence[Amounts]) -> int:
        """Schedule pods in this order and return how many stay pending; `steps` falls below 0 if that takes too long."""
        left = 0
        hopeless: set[Amounts] = set()
        for each in pods:
            # Free room only shrinks: a pod that fits nowhere now never will.
            at = None if each in hopeless else self._choose(each)
            if self.steps < 0:
                break
            if at is None:
                hopeless.add(each)
                left += 1
            else:
                self._bind(at, each)
        return left

    def _choose(self, each: Amounts) -> int | None:
        lowest, best = 0.0, None
        lowest_level = bisect_right(self.bounds, each.gpu_memory)
        for (cpu, memory), levels in self.groups.items():
            own = each.cpu / cpu + each.memory / memory
            for level in levels[lowest_level:]:
                self.steps -= 1
                for allocated, at in level:
                    if best is not None and allocated + own >= lowest:
                        break
                    self.steps -= 1
                    if self._fits(at, each):
                        lowest, best = allocated + own, at
                        break
        return best

    def _fits(self, at: int, each: Amounts) -> bool:
        if each.cpu > self.cpu[at] or each.memory > self.memory[at] or not self.pods[at]:
            return False
        return not (each.gpu_memory or each.shares) or self._card(at, each) is not None

    def _card(self, at: int, each: Amounts) -> list[int] | None:
        for card in self.cards[at]:
            if card[0] >= each.gpu_memory and card[1] >= each.shares:
                return card
        return None

    def _bind(self, at: int, each: Amounts) -> None:
        group = self._group(at)
        del group[bisect_left(group, (self._allocated(at), at))]
        self.cpu[at] -= each.cpu
        self.memory[at] -= each.memory
        self.pods[at] -= 1
        if each.gpu_memory or each.shares:
            card = self._card(at, each)
            assert card is not None
            card[0] -= each.gpu_memory
            card[1] -= each.shares
        insort(self._group(at), (self._allocated(at), at))
