"""The state of a packing: classes of equal pods, slots, and what is free. Plain lists, as the loops are hot."""

from collections.abc import Sequence
from typing import Final

from algoplatform.planning.capacity.model import Amounts
from algoplatform.planning.capacity.room import Room


class Board:
    """Pods by class in slots: each card is a slot, and each node has one more for pods without a GPU.

    `left` is the number of pods of each class that have no slot yet. The amounts of a class are those of one pod.
    """

    __slots__ = (
        "bare", "cards", "cpu", "gpu", "inside", "left", "memory", "node_cpu", "node_memory", "node_pods",
        "on_card", "shares", "size", "slot_memory", "slot_node", "slot_shares",
    )  # fmt: skip

    def __init__(self, rooms: Sequence[Room], classes: Sequence[Amounts], counts: Sequence[int]) -> None:
        self.cpu: Final = [each.cpu for each in classes]
        self.memory: Final = [each.memory for each in classes]
        self.gpu: Final = [each.gpu_memory for each in classes]
        self.shares: Final = [each.shares for each in classes]
        self.on_card: Final = [bool(each.gpu_memory or each.shares) for each in classes]
        self.left: Final = list(counts)
        self.node_cpu: Final = [room.cpu for room in rooms]
        self.node_memory: Final = [room.memory for room in rooms]
        self.node_pods: Final = [room.pods for room in rooms]
        self.slot_memory: Final = [memory for room in rooms for memory in room.card_memory]
        self.slot_shares: Final = [shares for room in rooms for shares in room.card_shares]
        self.slot_node: Final = [at for at, room in enumerate(rooms) for _ in room.card_memory]
        self.cards: Final[list[list[int]]] = [[] for _ in rooms]
        for slot, node in enumerate(self.slot_node):
            self.cards[node].append(slot)
        cards = len(self.slot_node)
        self.bare: Final = range(cards, cards + len(rooms))
        self.slot_memory.extend([0] * len(rooms))
        self.slot_shares.extend([0] * len(rooms))
        self.slot_node.extend(range(len(rooms)))
        self.inside: Final[list[dict[int, int]]] = [{} for _ in self.slot_node]
        self.size: Final = self._sizes()

    def _sizes(self) -> list[float]:
        """Return the size of a pod of each class, relative to all that is free; scarce dimensions count for more."""
        total = [0.0] * len(self.left)
        for amounts, free in self.dimensions():
            need = sum(left * amount for left, amount in zip(self.left, amounts, strict=True))
            if free:
                scale = min(1.0, need / free) ** 2 / free
                total = [value + amount * scale for value, amount in zip(total, amounts, strict=True)]
        return total

    def dimensions(self) -> list[tuple[Sequence[int], int]]:
        """Return for each dimension the amount that a pod of each class takes, and how much is free in total."""
        return [
            (self.cpu, sum(self.node_cpu)),
            (self.memory, sum(self.node_memory)),
            (self.gpu, sum(self.slot_memory)),
            (self.shares, sum(self.slot_shares)),
        ]

    def put(self, kind: int, slot: int, pods: int = 1) -> None:
        """Put pods of a class into a slot; with a negative number, take them out."""
        node, inside = self.slot_node[slot], self.inside[slot]
        self.node_cpu[node] -= self.cpu[kind] * pods
        self.node_memory[node] -= self.memory[kind] * pods
        self.node_pods[node] -= pods
        self.slot_memory[slot] -= self.gpu[kind] * pods
        self.slot_shares[slot] -= self.shares[kind] * pods
        self.left[kind] -= pods
        inside[kind] = inside.get(kind, 0) + pods
        if not inside[kind]:
            del inside[kind]

    def most(self, kind: int, slot: int) -> int:
        """Return how many more pods of a class a slot holds."""
        node = self.slot_node[slot]
        fits = self.node_pods[node]
        for free, each in (
            (self.node_cpu[node], self.cpu[kind]),
            (self.node_memory[node], self.memory[kind]),
            (self.slot_memory[slot], self.gpu[kind]),
            (self.slot_shares[slot], self.shares[kind]),
        ):
            if each and free // each < fits:
                fits = free // each
        return max(0, fits)

    def most_of_node(self, kind: int, node: int) -> int:
        """Return how many more pods of a class a node holds on all its cards."""
        if not self.on_card[kind]:
            return self.most(kind, self.bare[node])
        fits = min(self.node_pods[node], sum(self.most(kind, slot) for slot in self.cards[node]))
        for free, each in ((self.node_cpu[node], self.cpu[kind]), (self.node_memory[node], self.memory[kind])):
            fits = min(fits, free // each) if each else fits
        return max(0, fits)

    def slots_for(self, kind: int) -> range:
        """Return the slots that may hold a class: cards, or the other slots of the nodes if it needs no GPU."""
        return range(len(self.slot_node) - len(self.bare)) if self.on_card[kind] else self.bare

    def unplaced(self) -> int:
        return sum(self.left)
