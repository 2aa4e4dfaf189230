"""Random clusters and demands for plans, from a seed, and first-fit-decreasing as the floor."""

from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

from algoplatform.planning.capacity.model import Amounts, Card, Cluster, Demand, Node, Reserve
from algoplatform.planning.capacity.room import Room, rooms

# Kinds of nodes: name, number of cards, MiB per card as the driver reports them, and share of all nodes.
_ROWS: Final = (("t4", 4, 15_109, 11), ("a10", 4, 22_731, 4), ("t4x8", 8, 15_109, 3), ("a100", 2, 40_960, 2))
_CPU_OF_CARD: Final = 8_000
_MEMORY_OF_CARD: Final = 32_000


class Fleet(NamedTuple):
    """A cluster and the demands to place on it."""

    demands: list[Demand]
    cluster: Cluster

    @property
    def pods(self) -> int:
        """Return the number of replicas of all demands."""
        return sum(demand.replicas for demand in self.demands)

    @property
    def cards(self) -> int:
        """Return the number of cards of all nodes."""
        return sum(len(node.cards) for node in self.cluster.nodes)


def fleet(
    seed: int, *, gpu: float, cpu: float, memory: float, nodes: int = 200, images: int = 500, pods: int = 5_000,
    mixed: bool = True,
) -> Fleet:  # fmt: skip
    """Return demands that need these parts of all GPU memory (less 10 %), CPU and memory.

    Replicas are distributed exponentially; of a card a pod takes between a twentieth and two thirds.
    """
    random = Random(seed)
    weights = [row[3] for row in _ROWS]
    rows = random.choices(_ROWS, weights, k=nodes) if mixed else [_ROWS[0]] * nodes
    cluster = Cluster(
        tuple(
            Node(f"{name}-{at}", name, cards * _CPU_OF_CARD, cards * _MEMORY_OF_CARD, 110, (Card(size, 10),) * cards)
            for at, (name, cards, size, _) in enumerate(rows, 1)
        )
    )
    usable = rooms(cluster, Reserve())
    counts = [max(1, round(random.expovariate(images / pods))) for _ in range(images)]
    size = [random.choice((1, 1, 1, 2, 2, 3, 4, 6)) * random.uniform(0.6, 1.4) for _ in range(images)]
    gpus = _scaled(size, counts, gpu * sum(sum(room.card_memory) for room in usable))
    # Pods with more GPU memory also need more CPU and memory, but with some variation.
    hungry = [0.3 + each / 3_000 for each in gpus]
    cpus = _scaled([random.uniform(0.2, 2) * each for each in hungry], counts, cpu * sum(room.cpu for room in usable))
    memories = _scaled(
        [random.uniform(0.2, 2) * each for each in hungry], counts, memory * sum(room.memory for room in usable)
    )
    smallest = min(min(room.card_memory) for room in usable)
    demands = [
        Demand(f"algo/a{at}:1.0", number, Amounts(cpus[at], memories[at], min(gpus[at], smallest), 1))
        for at, number in enumerate(counts)
    ]
    return Fleet(demands, cluster)


def _scaled(values: Sequence[float], counts: Sequence[int], total: float) -> list[int]:
    scale = total / sum(value * number for value, number in zip(values, counts, strict=True))
    return [max(1, int(value * scale)) for value in values]


def first_fit_decreasing(demands: Sequence[Demand], free: Sequence[Room]) -> int:
    """Place the pods with the most GPU memory first, each on the first card with room; return how many are left."""
    cpu, memory, pods = ([getattr(room, of) for room in free] for of in ("cpu", "memory", "pods"))
    slots = [(at, card) for at, room in enumerate(free) for card in range(len(room.card_memory))]
    card_memory = [free[at].card_memory[card] for at, card in slots]
    card_shares = [free[at].card_shares[card] for at, card in slots]
    left = 0
    for demand in sorted(demands, key=lambda demand: -demand.each.gpu_memory):
        each, wanted = demand.each, demand.replicas
        for slot, (node, _) in enumerate(slots):
            while (
                wanted
                and pods[node]
                and card_memory[slot] >= each.gpu_memory
                and card_shares[slot] >= each.shares
                and cpu[node] >= each.cpu
                and memory[node] >= each.memory
            ):
                cpu[node] -= each.cpu
                memory[node] -= each.memory
                pods[node] -= 1
                card_memory[slot] -= each.gpu_memory
                card_shares[slot] -= each.shares
                wanted -= 1
        left += wanted
    return left
