"""Places pods on cards and nodes: makes several attempts, repairs each, and keeps the one with the most pods placed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple

from algoplatform.planning.capacity.model import Amounts, Demand
from algoplatform.planning.capacity.packing.balancing import fill_balanced
from algoplatform.planning.capacity.packing.board import Board
from algoplatform.planning.capacity.packing.mixing import Mix, fill_mixed
from algoplatform.planning.capacity.packing.repair import Work, repair
from algoplatform.planning.capacity.packing.shedding import least_left, shed
from algoplatform.planning.capacity.room import Room

# Steps of all attempts together: those of the repairs and 100 for each pod. Some seconds on one core.
STEPS: Final = 5_000_000
_ATTEMPTS: Final = 64
# The attempts differ in `front` and `strictness` of their Mix, and in their load: where demands exceed the capacity,
# the largest pods are set aside until the rest needs only this part of the capacity, and are tried again at the end.
_MIXES: Final = ((0.4, 0.15), (0.2, 0.15), (0.7, 0.3), (0.3, 0.1), (1.0, 0.05))
_LOADS: Final = (1.0, 0.98, 0.95)
# Where the totals fit, one attempt in 8 sets pods aside, which helps only if they are large for their cards.
_LOADS_WITHIN: Final = (*[1.0] * 7, 0.95)


class Placed(NamedTuple):
    """Replicas of an image on one node; `card` is the index of the card that they share, None without a GPU."""

    node: str
    card: int | None
    reference: str
    replicas: int

    def document(self) -> dict[str, Any]:
        return {"node": self.node, "card": self.card, "image": self.reference, "replicas": self.replicas}


@dataclass(frozen=True, slots=True)
class Placement:
    """The placed replicas, the number of unplaced replicas by reference, and the room left in the order of nodes."""

    placed: tuple[Placed, ...]
    unplaced: dict[str, int]
    free: tuple[Room, ...]


def place(demands: Sequence[Demand], rooms: Sequence[Room], steps: int = STEPS) -> Placement:
    """Place as many replicas as any attempt can; the order of demands and nodes makes no difference."""
    ordered = sorted(rooms, key=lambda room: (len(room.name), room.name))
    classes: dict[Amounts, list[Demand]] = defaultdict(list)
    for demand in sorted(demands, key=lambda demand: demand.reference):
        if not demand.oversized:
            classes[demand.each].append(demand)
    kinds = sorted(classes, key=attrgetter("gpu_memory", "cpu", "memory", "shares"))
    board = _best(ordered, kinds, [sum(demand.replicas for demand in classes[each]) for each in kinds], Work(steps))
    return _result(board, ordered, rooms, demands, [classes[each] for each in kinds])


def _best(rooms: Sequence[Room], kinds: Sequence[Amounts], counts: Sequence[int], work: Work) -> Board:
    """Return the board with the fewest unplaced pods; pods that fit no empty slot are not tried."""
    empty = Board(rooms, kinds, counts)
    hopeless = [not any(empty.most(kind, slot) for slot in empty.slots_for(kind)) for kind in range(len(kinds))]
    hopeful = [0 if never else count for never, count in zip(hopeless, counts, strict=True)]
    least = least_left(Board(rooms, kinds, hopeful))
    best = None
    loads = _LOADS if least else _LOADS_WITHIN
    for attempt in _attempts(rooms, kinds, hopeful, loads, work):
        if best is None or attempt.unplaced() < best.unplaced():
            best = attempt
        if best.unplaced() <= least or not work:
            break
    assert best is not None
    for kind, never in enumerate(hopeless):
        if never:
            best.left[kind] = counts[kind]
    return best


def _attempts(
    rooms: Sequence[Room], kinds: Sequence[Amounts], counts: Sequence[int], loads: Sequence[float], work: Work
) -> Iterator[Board]:
    for turn in range(_ATTEMPTS):
        board = Board(rooms, kinds, counts)
        aside = shed(board, loads[turn % len(loads)])
        fill_mixed(board, _interleaved(board), _mix(turn))
        _fill_bare(board)
        for kind, pods in aside.items():
            board.left[kind] += pods
        repair(board, work)
        yield board
        work.spend(sum(counts) * 100)


def _mix(turn: int) -> Mix:
    front, strictness = _MIXES[turn % len(_MIXES)]
    return Mix(front, strictness, offset=0.618 * (turn + 1) % 1)


def _fill_bare(board: Board) -> None:
    nodes = sorted(range(len(board.cards)), key=lambda node: bool(board.cards[node]))
    kinds = [kind for kind, on_card in enumerate(board.on_card) if not on_card]
    fill_balanced(board, [board.bare[node] for node in nodes], kinds)


def _interleaved(board: Board) -> list[int]:
    """Return the nodes in an order in which nodes with large cards and nodes with small cards alternate."""
    groups: dict[int, list[int]] = defaultdict(list)
    for node, slots in enumerate(board.cards):
        groups[max((board.slot_memory[slot] for slot in slots), default=0)].append(node)
    turns = [((turn + 0.5) / len(nodes), node) for nodes in groups.values() for turn, node in enumerate(nodes)]
    return [node for _, node in sorted(turns)]


def _result(
    board: Board,
    ordered: Sequence[Room],
    rooms: Sequence[Room],
    demands: Sequence[Demand],
    members: Sequence[Sequence[Demand]],
) -> Placement:
    """Return the placement of a board: the references of a class get its pods one reference after the other."""
    owners = [[(demand.reference, demand.replicas) for demand in reversed(of)] for of in members]
    found: dict[tuple[str, int | None, str], int] = {}
    for slot, inside in enumerate(board.inside):
        node = board.slot_node[slot]
        card = None if slot in board.bare else slot - board.cards[node][0]
        for kind, pods in inside.items():
            for reference, replicas in _shared_out(owners[kind], pods):
                found[ordered[node].name, card, reference] = replicas
    unplaced = {reference: replicas for of in owners for reference, replicas in of}
    unplaced |= {demand.reference: demand.replicas for demand in demands if demand.oversized}
    place = {room.name: at for at, room in enumerate(rooms)}
    keys = sorted(found, key=lambda key: (place[key[0]], -1 if key[1] is None else key[1], key[2]))
    free = {room.name: room for room in _free(board, ordered)}
    return Placement(
        tuple(Placed(*key, found[key]) for key in keys), unplaced, tuple(free[room.name] for room in rooms)
    )


def _free(board: Board, ordered: Sequence[Room]) -> Iterator[Room]:
    for node, room in enumerate(ordered):
        memory = [board.slot_memory[slot] for slot in board.cards[node]]
        shares = [board.slot_shares[slot] for slot in board.cards[node]]
        left = (board.node_cpu[node], board.node_memory[node], board.node_pods[node])
        yield Room(room.name, *left, memory, shares)


def _shared_out(owners: list[tuple[str, int]], pods: int) -> Iterator[tuple[str, int]]:
    while pods:
        reference, replicas = owners.pop()
        taken = min(replicas, pods)
        if taken < replicas:
            owners.append((reference, replicas - taken))
        pods -= taken
        yield reference, taken
