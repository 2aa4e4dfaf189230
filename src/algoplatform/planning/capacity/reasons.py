"""Why a pod fits on no node: each reason with its number of nodes, in the scheduler's words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from algoplatform.planning.capacity.model import Amounts, LeftOut
from algoplatform.planning.capacity.room import Room

IN_RESERVE = "node(s) were kept in reserve"


@dataclass(frozen=True, slots=True)
class Names:
    """The names under which the GPU profile requests a card's memory and shares."""

    gpu_memory: str = "nvidia.com/gpumem"
    shares: str = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some nodes reject a pod; `need` and `largest_free` are None unless they lack an amount."""

    reason: str
    nodes: int
    need: int | None = None
    largest_free: int | None = None

    def document(self) -> dict[str, Any]:
        found = asdict(self)
        return {("largestFree" if key == "largest_free" else key): value for key, value in found.items()}


class Reasons:
    """Finds the reasons for pods, on the nodes as they are after everything that fits has been placed."""

    def __init__(self, rooms: Sequence[Room], left_out: Iterable[LeftOut], in_reserve: int, names: Names) -> None:
        self._rooms, self._names = rooms, names
        self._others: dict[str, int] = {IN_RESERVE: in_reserve} if in_reserve else {}
        for node in left_out:
            self._others[node.reason] = self._others.get(node.reason, 0) + 1

    def of(self, each: Amounts, *, oversized: bool = False) -> list[Reason]:
        """Return the reasons, those of the most nodes first; a node counts once for each of its reasons."""
        found: dict[str, tuple[int, list[int]]] = {}
        for room in self._rooms:
            for name, need, free in self._lacks(room, each, oversized):
                found.setdefault(name, (need, []))[1].append(free)
        reasons = [Reason(name, len(free), need, max(free)) for name, (need, free) in found.items()]
        reasons.extend(Reason(reason, nodes) for reason, nodes in self._others.items())
        return sorted(reasons, key=lambda reason: (-reason.nodes, reason.reason))

    def _lacks(self, room: Room, each: Amounts, oversized: bool) -> Iterator[tuple[str, int, int]]:
        """Yield each resource that a node lacks, with the need and the largest free amount."""
        if each.cpu > room.cpu:
            yield "Insufficient cpu", each.cpu, room.cpu
        if each.memory > room.memory:
            yield "Insufficient memory", each.memory, room.memory
        if room.pods < 1:
            yield "Too many pods", 1, room.pods
        if not (each.gpu_memory or each.shares or oversized):
            return
        cards = zip(room.card_memory, room.card_shares, strict=True)
        memory = max((free for free, shares in cards if shares >= each.shares), default=None)
        if memory is None and room.card_shares:
            yield f"Insufficient {self._names.shares}", each.shares, max(room.card_shares)
        elif memory is None or memory < each.gpu_memory or oversized:
            yield f"Insufficient {self._names.gpu_memory}", each.gpu_memory, memory or 0
