"""The free room of each node: its capacity without the reserve and the pods that already run."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from algoplatform.planning.capacity.model import DIMENSIONS, Cluster, Demand, Held, Node, Reserve


@dataclass(slots=True)
class Room:
    """What new pods may take of one node, and of each of its cards: memory in MiB and shares."""

    name: str
    cpu: int
    memory: int
    pods: int
    card_memory: list[int] = field(default_factory=list)
    card_shares: list[int] = field(default_factory=list)

    @property
    def amounts(self) -> tuple[int, ...]:
        """The free amounts, in the order of DIMENSIONS."""
        return sum(self.card_memory), self.cpu, self.memory, sum(self.card_shares), self.pods


def summed(parts: Iterable[Demand | Room]) -> list[int]:
    """Return the total needs or free amounts, in the order of DIMENSIONS."""
    return [sum(of) for of in zip([0] * len(DIMENSIONS), *(part.amounts for part in parts), strict=True)]


def kept_back(nodes: Iterable[Node], reserve: Reserve) -> set[str]:
    """Return the names of the nodes in reserve: those with the most GPU memory; among equals, the last."""
    ranked = sorted(nodes, key=lambda node: (node.gpu_memory, node.cpu, node.memory, len(node.name), node.name))
    return {node.name for node in ranked[max(0, len(ranked) - reserve.nodes) :]} if reserve.nodes else set()


def rooms(cluster: Cluster, reserve: Reserve) -> list[Room]:
    """Return the room of each node that is not in reserve, in the order of the cluster; no amount is negative."""
    aside = kept_back(cluster.nodes, reserve)
    found = {node.name: _empty(node, reserve) for node in cluster.nodes if node.name not in aside}
    for held in cluster.held:
        if held.node in found:
            _take(found[held.node], held)
    return list(found.values())


def _empty(node: Node, reserve: Reserve) -> Room:
    left = 100 - reserve.gpu_memory_percent
    memory = [card.memory * left // 100 // reserve.unit * reserve.unit for card in node.cards]
    return Room(node.name, node.cpu, node.memory, node.pods, memory, [card.shares for card in node.cards])


def _take(room: Room, held: Held) -> None:
    room.cpu = max(0, room.cpu - held.each.cpu * held.pods)
    room.memory = max(0, room.memory - held.each.memory * held.pods)
    room.pods = max(0, room.pods - held.pods)
    if held.card is not None:
        card = held.card
        room.card_memory[card] = max(0, room.card_memory[card] - held.each.gpu_memory * held.pods)
        room.card_shares[card] = max(0, room.card_shares[card] - held.each.shares * held.pods)
