"""Checks a placement against nodes, running pods and reserve, and shares no code with what computed it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from algoplatform.planning.capacity.model import Amounts, Cluster, Demand, Node, Reserve

# (node, card, reference, replicas), and for the pods of one node (card, amounts of each, number).
_Entry: TypeAlias = tuple[str, int | None, str, int]
_Pods: TypeAlias = tuple[int | None, Amounts, int]


class Violated(Exception):
    """A placement exceeds a limit or loses replicas: a bug, not a fault of the input."""


def recount(
    demands: Sequence[Demand], cluster: Cluster, reserve: Reserve, placed: Iterable[_Entry], unplaced: dict[str, int]
) -> None:
    """Raise Violated unless `placed` keeps to all limits and accounts, with `unplaced`, for every replica."""
    entries = list(placed)
    _count_replicas(demands, entries, unplaced)
    each = {demand.reference: demand.each for demand in demands}
    _check_reserve(cluster.nodes, reserve, {name for name, *_ in entries})
    nodes = {node.name: node for node in cluster.nodes}
    loads: dict[str, list[_Pods]] = {name: [] for name, *_ in entries}
    for name, card, reference, replicas in entries:
        loads[name].append((card, each[reference], replicas))
    held: dict[str, list[_Pods]] = {name: [] for name in loads}
    for pods in cluster.held:
        if pods.node in held:
            held[pods.node].append((pods.card, pods.each, pods.pods))
    for name, load in loads.items():
        _check_node(nodes[name], reserve, load, held[name])


def _count_replicas(demands: Sequence[Demand], entries: Sequence[_Entry], unplaced: dict[str, int]) -> None:
    found = Counter(unplaced)
    for _, _, reference, replicas in entries:
        if replicas < 1:
            raise Violated(f"{reference}: {replicas} replicas in one place")
        found[reference] += replicas
    if found != Counter({demand.reference: demand.replicas for demand in demands}):
        raise Violated("the replicas placed and unplaced are not those asked for")


def _check_reserve(nodes: Sequence[Node], reserve: Reserve, used: set[str]) -> None:
    """Check that enough nodes have no new pods, and that no used node has more GPU memory than any of them."""
    if not used:
        return
    sizes = {node.name: sum(card.memory for card in node.cards) for node in nodes}
    spare = sorted((size for name, size in sizes.items() if name not in used), reverse=True)[: reserve.nodes]
    if len(spare) < reserve.nodes or (spare and spare[-1] < max(sizes[name] for name in used)):
        raise Violated("a node in reserve is used")


def _check_node(node: Node, reserve: Reserve, load: Sequence[_Pods], held: Sequence[_Pods]) -> None:
    both = [*load, *held]
    _check(node.name, "pods", node.pods, load, both, [1] * len(both))
    _check(node.name, "cpu", node.cpu, load, both, [each.cpu for _, each, _ in both])
    _check(node.name, "memory", node.memory, load, both, [each.memory for _, each, _ in both])
    for index in {card for card, _, _ in load}:
        new = [entry for entry in load if entry[0] == index]
        on_card = [*new, *(entry for entry in held if entry[0] == index)]
        if index is None:
            if any(each.gpu_memory or each.shares for _, each, _ in new):
                raise Violated(f"{node.name}: a pod that needs a card has none")
            continue
        card = node.cards[index]
        usable = card.memory * (100 - reserve.gpu_memory_percent) // 100
        usable -= usable % reserve.unit
        where = f"{node.name}, card {index}"
        _check(where, "GPU memory", usable, new, on_card, [each.gpu_memory for _, each, _ in on_card])
        _check(where, "shares", card.shares, new, on_card, [each.shares for _, each, _ in on_card])


def _check(
    where: str, what: str, limit: int, new: Sequence[_Pods], both: Sequence[_Pods], amounts: Sequence[int]
) -> None:
    """Compare a sum with its limit if new pods add to it; pods that already run may exceed it by themselves."""
    if not any(amounts[: len(new)]):
        return
    total = sum(amount * pods for amount, (_, _, pods) in zip(amounts, both, strict=True))
    if total > limit:
        raise Violated(f"{where}: {total} of {limit} {what}")
