"""Which nodes to add so that everything fits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from algoplatform.planning.capacity.model import Amounts, Cluster, Demand, Node, Reserve
from algoplatform.planning.capacity.packing.board import Board
from algoplatform.planning.capacity.placement import STEPS, Placed, Placement, place
from algoplatform.planning.capacity.recount import recount
from algoplatform.planning.capacity.room import Room, rooms, summed

# Shapes of nodes to try at most: those with the most GPU memory, then CPU, then memory.
_SHAPES: Final = 8
# Steps of one trial, and the budget of all trials: the pods to place and the nodes to choose from. Some seconds.
_STEPS: Final = 100_000
_PODS: Final = 20_000
# New nodes plus their cards in one trial. A plan never proposes more, as trying them takes gigabytes and minutes.
_SLOTS: Final = 40_000
# Begins the names of new nodes: a control character, which no given name contains.
_OURS: Final = "\0"


@dataclass(frozen=True, slots=True)
class MoreNodes:
    """Nodes to add: `count` more of the row `like`."""

    like: str
    count: int


def add_nodes(demands: Sequence[Demand], cluster: Cluster, reserve: Reserve, placement: Placement) -> list[MoreNodes]:
    """Return the fewest additional nodes found with which everything fits, all of one row if possible; [] if none help.

    First places only the unplaced replicas, on new nodes and in the free room; then all demands anew, with fewer
    new nodes. The result has been placed and recounted.
    """
    if any(demand.oversized for demand in demands):
        return []
    return _Search(demands, cluster, reserve, placement).found()


@dataclass(frozen=True, slots=True)
class _Extension:
    """New nodes of one shape for some demands, `spare` more for the reserve, and the placement on the nodes."""

    node: Node
    nodes: int
    spare: int
    placement: Placement

    @property
    def rank(self) -> tuple[int, int, int, int]:
        return (self.nodes + self.spare, *_size(self.node))


class _Search:
    """A search by trials, which share the input and the rest of the budget."""

    def __init__(self, demands: Sequence[Demand], cluster: Cluster, reserve: Reserve, placement: Placement) -> None:
        self.demands, self.cluster, self.reserve, self.first = demands, cluster, reserve, placement
        self.budget = _PODS
        shapes = {(node.cpu, node.memory, node.pods, node.cards): node for node in reversed(cluster.nodes)}
        self.shapes = sorted(shapes.values(), key=_size, reverse=True)[:_SHAPES]

    def found(self) -> list[MoreNodes]:
        rest = [
            replace(demand, replicas=self.first.unplaced[demand.reference])
            for demand in self.demands
            if demand.reference in self.first.unplaced
        ]
        chosen: list[_Extension] = []
        free: Sequence[Room] = self.first.free
        while rest:
            hosted = {node: [demand for demand in rest if self._holds(node, demand.each)] for node in self.shapes}
            most = max((_pods(of) for of in hosted.values()), default=0)
            if not most:
                return []
            trials = self._trials([(node, of) for node, of in hosted.items() if _pods(of) == most], free, len(chosen))
            best = min(trials, key=lambda trial: trial.rank, default=None)
            if best is None:
                return []
            chosen.append(best)
            free = best.placement.free
            done = {demand.reference for demand in hosted[best.node]}
            rest = [demand for demand in rest if demand.reference not in done]
        if len(chosen) == 1:
            chosen = [self._fewer(chosen[0])]
        else:
            placed = [*self.first.placed, *(placed for extension in chosen for placed in extension.placement.placed)]
            self._recount(chosen, placed)
        return list(self._confirmed(chosen))

    def _trials(
        self, hosted: Sequence[tuple[Node, Sequence[Demand]]], free: Sequence[Room], turn: int
    ) -> Iterator[_Extension]:
        """Yield an extension for each shape that works, until one is found and the budget is spent."""
        found = False
        for node, demands in hosted:
            if not found or self.budget > 0:
                trial = self._alone(node, demands, free, turn)
                if trial:
                    found = True
                    yield trial

    def _holds(self, node: Node, each: Amounts) -> bool:
        return Board(self._rooms(node, 1, 0), [each], [1]).most_of_node(0, 0) > 0

    def _rooms(self, node: Node, count: int, turn: int) -> list[Room]:
        nodes = tuple(replace(node, name=_name(turn, at)) for at in range(count))
        return rooms(Cluster(nodes), replace(self.reserve, nodes=0))

    def _spare(self, node: Node) -> int:
        """Return how many new nodes the reserve would take, as it takes the nodes with the most GPU memory."""
        as_large = sum(other.gpu_memory >= node.gpu_memory for other in self.cluster.nodes)
        return max(0, self.reserve.nodes - as_large)

    def _alone(self, node: Node, demands: Sequence[Demand], free: Sequence[Room], turn: int) -> _Extension | None:
        """Place demands in the free room and on as few new nodes as possible; None if that fails."""

        spare = self._spare(node)

        def trial(count: int) -> Placement | None:
            if (count + spare) * (1 + len(node.cards)) > _SLOTS:
                return None
            self.budget -= _pods(demands) + len(free) + count
            found = place(demands, [*free, *self._rooms(node, count, turn)], _STEPS)
            return None if found.unplaced else found

        one = self._rooms(node, 1, turn)[0]
        least = max(1, _lower_bound(demands, free, one))
        # Enough even if no node holds two images.
        enough = max(least, sum(-(-demand.replicas // _most(demand, one)) for demand in demands))
        best = None
        for count in sorted({least, min(enough, least + 1 + least // 8), min(enough, least + 1 + least // 2), enough}):
            if found := trial(count):
                best = _Extension(node, count, spare, found)
                break
            least = count + 1
        while best and least < best.nodes and self.budget > 0:
            middle = (least + best.nodes) // 2
            if found := trial(middle):
                best = replace(best, nodes=middle, placement=found)
            else:
                least = middle + 1
        return best

    def _confirmed(self, chosen: Sequence[_Extension]) -> Iterator[MoreNodes]:
        """Plan all demands with the new nodes, and add a few more nodes while pods stay unplaced.

        Placing all pods at once may miss a placement that was found in two steps. Also, the reserve takes the last
        of equal nodes, now new ones, and releases old nodes, which hold less if pods already run on them.
        """
        counts = [extension.nodes + extension.spare for extension in chosen]
        largest = max(range(len(chosen)), key=lambda at: _size(chosen[at].node))
        for more in (0, 1, 1, max(1, self.reserve.nodes - 2)):
            counts[largest] += more
            new = [node for each, count in zip(chosen, counts, strict=True) for node in self._more(each.node, count)]
            extended = rooms(Cluster((*self.cluster.nodes, *new), self.cluster.held), self.reserve)
            steps = STEPS if self.budget > 0 else _STEPS
            self.budget -= _pods(self.demands)
            if not place(self.demands, extended, steps).unplaced:
                break
        return (MoreNodes(each.node.kind, count) for each, count in zip(chosen, counts, strict=True))

    def _more(self, like: Node, count: int) -> Iterator[Node]:
        """Yield further nodes of a row, with the names that a larger `count` of that row would give them."""
        known = {node.name for node in self.cluster.nodes}
        first = 1 + sum(node.kind == like.kind for node in self.cluster.nodes)
        for name in (f"{like.kind}-{number}" for number in range(first, first + count)):
            yield replace(like, name=_OURS + name if name in known else name)

    def _fewer(self, extension: _Extension) -> _Extension:
        """Find by bisection how few new nodes suffice if all demands are placed anew."""
        base = rooms(self.cluster, self.reserve)
        placed: Sequence[Placed] = [*self.first.placed, *extension.placement.placed]
        least = max(1, _lower_bound(self.demands, base, self._rooms(extension.node, 1, 0)[0]))
        # Usually a few nodes more than the lower bound suffice, so the first guess is close to it.
        middle = min(extension.nodes - 1, least + least // 16)
        first = True
        while least < extension.nodes and (first or self.budget > 0):
            first = False
            self.budget -= _pods(self.demands)
            found = place(self.demands, [*base, *self._rooms(extension.node, middle, 0)], _STEPS)
            if found.unplaced:
                least = middle + 1
            else:
                extension, placed = replace(extension, nodes=middle), found.placed
            middle = (least + extension.nodes) // 2
        self._recount([extension], placed)
        return extension

    def _recount(self, chosen: Sequence[_Extension], placed: Sequence[Placed]) -> None:
        more = (
            replace(extension.node, name=_name(turn, at))
            for turn, extension in enumerate(chosen)
            for at in range(extension.nodes + extension.spare)
        )
        cluster = Cluster((*self.cluster.nodes, *more), self.cluster.held)
        recount(self.demands, cluster, self.reserve, placed, {})


def _most(demand: Demand, room: Room) -> int:
    """Return how many replicas of a demand an empty node holds; at least 1, as the caller has checked."""
    board = Board([room], [demand.each], [demand.replicas])
    return max(1, min(board.most_of_node(0, 0), demand.replicas))


def _name(turn: int, at: int) -> str:
    return f"{_OURS}{turn}.{at}"


def _pods(demands: Sequence[Demand]) -> int:
    return sum(demand.replicas for demand in demands)


def _size(node: Node) -> tuple[int, int, int]:
    return (node.gpu_memory, node.cpu, node.memory)


def _lower_bound(demands: Sequence[Demand], free: Sequence[Room], one: Room) -> int:
    """Return how many nodes like `one` the totals of the demands require, beside what is free."""
    missing = [need - have for need, have in zip(summed(demands), summed(free), strict=True)]
    return max(-(-lack // each) if lack > 0 and each else 0 for lack, each in zip(missing, one.amounts, strict=True))
