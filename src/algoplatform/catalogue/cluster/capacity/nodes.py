"""Nodes and running pods as a request lists them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from algoplatform.catalogue.cluster.capacity.sharing import Sharing
from algoplatform.domain.errors import clip
from algoplatform.domain.plan.model import MAX_CARDS, NodeRow, RunningRow
from algoplatform.domain.plan.rows import Faults
from algoplatform.planning.capacity.model import Amounts, Cluster, Held, LeftOut, Node

NOT_SELECTED: Final = "node(s) didn't match Pod's node affinity/selector"
# For each node whose cards are divided into units: the position of the card of each unit.
Layout: TypeAlias = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Reading:
    """A cluster, where its cards are, and what was assumed about it."""

    cluster: Cluster
    layout: Layout
    assumptions: list[str]


def listed(rows: Sequence[NodeRow], sharing: Sharing) -> Reading:
    """Return the nodes of a request's rows, without pods; nodes that the site's selector excludes are left out.

    Raises Refused if the cards have too many units.
    """
    _check_units(rows, sharing)
    nodes: list[Node] = []
    left_out: list[LeftOut] = []
    layout: Layout = {}
    for row in rows:
        divided = [sharing.units(each.memory, each.shares, row.pods) for each in row.cards for _ in range(each.count)]
        cards = tuple(unit for units in divided for unit in units)
        positions = tuple(position for position, units in enumerate(divided) for _ in units)
        for name in row.names:
            if row.labels and not selected(row.labels, sharing):
                left_out.append(LeftOut(name, NOT_SELECTED))
                continue
            nodes.append(Node(name, row.name, row.cpu, row.memory, row.pods, cards))
            if cards and sharing.has_units:
                layout[name] = positions
    return Reading(Cluster(tuple(nodes), left_out=tuple(left_out)), layout, list(told_left_out(left_out)))


def selected(labels: Mapping[str, str], sharing: Sharing) -> bool:
    """Return whether the site's node selector allows a node of these labels."""
    return all(labels.get(key) == value for key, value in sharing.options.node_selector)


def told_left_out(left_out: Iterable[LeftOut]) -> Iterator[str]:
    """Yield one text that names all nodes that take no pods, each with its reason."""
    shown = "；".join(f"{clip(each.node)}（{each.reason}）" for each in left_out)
    if shown:
        yield f"未计入的节点：{shown}"


def running(rows: Iterable[tuple[RunningRow, Amounts]], reading: Reading) -> tuple[Held, ...]:
    """Return what running pods hold on the nodes of the plan; each row comes with the amounts of one pod."""
    known = {node.name for node in reading.cluster.nodes}
    units = {node: _units(cards) for node, cards in reading.layout.items()}
    return tuple(
        held
        for row, each in rows
        if row.node in known
        for held in _held(row, units.get(row.node, {}).get(row.card, []), each)
    )


def _units(cards: Iterable[int]) -> dict[int | None, list[int]]:
    """Return the units of each card."""
    found: dict[int | None, list[int]] = {}
    for at, card in enumerate(cards):
        found.setdefault(card, []).append(at)
    return found


def _held(row: RunningRow, units: Sequence[int], each: Amounts) -> Iterator[Held]:
    if not each.shares or not units:
        yield Held(row.node, row.card if each.shares else None, each, row.replicas)
        return
    for number, unit in enumerate(units[: row.replicas]):
        pods = row.replicas // len(units) + (number < row.replicas % len(units))
        yield Held(row.node, unit, each, pods)


def _check_units(rows: Sequence[NodeRow], sharing: Sharing) -> None:
    units = sum(row.count * each.count * sharing.parts(each.shares) for row in rows for each in row.cards)
    if units > MAX_CARDS:
        faults = Faults()
        faults.tell("nodes", f"的GPU卡按方案{sharing.profile.name}分为{units}份，至多{MAX_CARDS}份")
        faults.end()
