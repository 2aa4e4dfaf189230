"""The input of a plan. CPU is in m (thousandths of a core), memory and GPU memory in MiB.

The caller rounds GPU memory to the units of the GPU profile: up for a replica, down for a card. This package
knows only numbers, neither profiles nor Kubernetes objects.
"""

from dataclasses import dataclass
from typing import Final

DIMENSIONS: Final = ("gpuMemory", "cpu", "memory", "shares", "pods")


@dataclass(frozen=True, slots=True)
class Amounts:
    """The resources of one replica; `shares` are those of one card, 0 without a GPU."""

    cpu: int = 0
    memory: int = 0
    gpu_memory: int = 0
    shares: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """The replicas of an image. `oversized` is set if, under the GPU profile, no card of the plan can ever hold one."""

    reference: str
    replicas: int
    each: Amounts
    oversized: bool = False

    @property
    def amounts(self) -> tuple[int, ...]:
        """The needs of all its replicas together, in the order of DIMENSIONS."""
        each = self.each
        return tuple(self.replicas * of for of in (each.gpu_memory, each.cpu, each.memory, each.shares, 1))


@dataclass(frozen=True, slots=True)
class Card:
    """One card of a node."""

    memory: int
    shares: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node without pods. `kind`, which `addNodes` reports, is the name of its row or of the first equal node."""

    name: str
    kind: str
    cpu: int
    memory: int
    pods: int
    cards: tuple[Card, ...] = ()

    @property
    def gpu_memory(self) -> int:
        """The memory of all its cards."""
        return sum(card.memory for card in self.cards)


@dataclass(frozen=True, slots=True)
class Held:
    """Equal pods that already run on a node; `each` is for one pod, `card` is None without a GPU."""

    node: str
    card: int | None
    each: Amounts
    pods: int = 1


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A node that accepts no pods, and why, in the scheduler's words (`node(s) were unschedulable`)."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """The nodes that accept pods, the pods already on them, and the nodes that accept none."""

    nodes: tuple[Node, ...]
    held: tuple[Held, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Reserve:
    """What stays free: this percentage of each card, and this many nodes, those with the most GPU memory.

    The rest of a card is rounded down to a multiple of `unit`, the MiB in which GPU memory is allocated.
    """

    gpu_memory_percent: int = 10
    nodes: int = 0
    unit: int = 1
