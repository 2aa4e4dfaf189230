"""What a plan is made of. CPU is in m (thousandths of a core), memory and GPU memory in MiB.

GPU memory of a replica is rounded up as the profile does, that of a card is rounded down before it comes here:
this folder knows numbers, no profiles and no Kubernetes objects.
"""

from dataclasses import dataclass
from typing import Final

DIMENSIONS: Final = ("gpuMemory", "cpu", "memory", "shares", "pods")


@dataclass(frozen=True, slots=True)
class Amounts:
    """What one replica takes; `shares` of one card, 0 without a GPU."""

    cpu: int = 0
    memory: int = 0
    gpu_memory: int = 0
    shares: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """An image in so many replicas. `oversized` is set if no card of any size holds the request of this profile."""

    reference: str
    replicas: int
    each: Amounts
    oversized: bool = False

    @property
    def amounts(self) -> tuple[int, ...]:
        """What all its replicas need, by DIMENSIONS."""
        each = self.each
        return tuple(self.replicas * of for of in (each.gpu_memory, each.cpu, each.memory, each.shares, 1))


@dataclass(frozen=True, slots=True)
class Card:
    """One card of a node."""

    memory: int
    shares: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node, empty; its cards by index. `kind` is the name of the row it came from, which `addNodes` counts."""

    name: str
    kind: str
    cpu: int
    memory: int
    pods: int
    cards: tuple[Card, ...] = ()

    @property
    def gpu_memory(self) -> int:
        """That of all its cards."""
        return sum(card.memory for card in self.cards)


@dataclass(frozen=True, slots=True)
class Held:
    """Pods that run already: so many with these amounts each, on this card, None without a GPU."""

    node: str
    card: int | None
    each: Amounts
    pods: int = 1


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A node that takes no pods, and why, in the scheduler's words (`node(s) were unschedulable`)."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """The nodes that take pods, what they hold, and those that take none."""

    nodes: tuple[Node, ...]
    held: tuple[Held, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Reserve:
    """What stays free: this part of every card, and this many nodes, those with the most GPU memory.

    What is left of a card is rounded down to units of so many MiB, in which it is handed out.
    """

    gpu_memory_percent: int = 10
    nodes: int = 0
    unit: int = 1
