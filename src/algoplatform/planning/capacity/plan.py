"""The plan: what fits where, what does not and why, which nodes would help, and what the scheduler would do."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from algoplatform.planning.capacity.model import DIMENSIONS, Cluster, Demand, Reserve
from algoplatform.planning.capacity.nodes import MoreNodes, add_nodes
from algoplatform.planning.capacity.placement import Placed, Placement, place
from algoplatform.planning.capacity.proofs import Proof, prove
from algoplatform.planning.capacity.reasons import Names, Reason, Reasons
from algoplatform.planning.capacity.recount import recount
from algoplatform.planning.capacity.room import Room, kept_back, rooms, summed
from algoplatform.planning.capacity.scheduler import Simulation, simulate

DEFAULT_NAMES: Final = Names()
_DEFAULT_RESERVE: Final = Reserve()


@dataclass(frozen=True, slots=True)
class Total:
    """One dimension: the need of all demands, the capacity of all nodes, and its part that is free for the demands."""

    need: int
    have: int
    usable: int


@dataclass(frozen=True, slots=True)
class Unplaced:
    """The replicas of an image that were not placed, and why."""

    reference: str
    replicas: int
    reasons: tuple[Reason, ...]
    proof: Proof

    def document(self) -> dict[str, Any]:
        reasons = [reason.document() for reason in self.reasons]
        return {"image": self.reference, "replicas": self.replicas, "reasons": reasons, "proof": self.proof}


@dataclass(frozen=True, slots=True)
class Plan:
    """The result; `fits` can be relied on, as every placement is recounted."""

    totals: dict[str, Total]
    placements: tuple[Placed, ...]
    unplaced: tuple[Unplaced, ...]
    add_nodes: tuple[MoreNodes, ...]
    scheduler: Simulation

    @property
    def fits(self) -> bool:
        return not self.unplaced

    def document(self) -> dict[str, Any]:
        return {
            "fits": self.fits,
            "totals": {name: asdict(total) for name, total in self.totals.items()},
            "placements": [placed.document() for placed in self.placements],
            "unplaced": [unplaced.document() for unplaced in self.unplaced],
            "addNodes": [asdict(more) for more in self.add_nodes],
            "scheduler": asdict(self.scheduler),
        }


def plan(
    demands: Sequence[Demand],
    cluster: Cluster,
    reserve: Reserve = _DEFAULT_RESERVE,
    orders: int = 0,
    names: Names = DEFAULT_NAMES,
) -> Plan:
    """Plan the demands, each of another image, and simulate the scheduler with this many random orders of the pods.

    Takes seconds for the largest clusters. Raises Violated if the recount finds a bug in the placement.
    """
    free = rooms(cluster, reserve)
    placement = place(demands, free)
    recount(demands, cluster, reserve, placement.placed, placement.unplaced)
    return Plan(
        _totals(demands, cluster, free),
        placement.placed,
        _unplaced(demands, cluster, reserve, names, free, placement),
        tuple(add_nodes(demands, cluster, reserve, placement)) if placement.unplaced else (),
        simulate(demands, cluster.nodes, rooms(cluster, Reserve(0, reserve.nodes)), orders),
    )


def _totals(demands: Sequence[Demand], cluster: Cluster, free: Sequence[Room]) -> dict[str, Total]:
    have = rooms(Cluster(cluster.nodes), Reserve(0))
    sums = zip(summed(demands), summed(have), summed(free), strict=True)
    return {name: Total(*of) for name, of in zip(DIMENSIONS, sums, strict=True)}


def _unplaced(
    demands: Sequence[Demand],
    cluster: Cluster,
    reserve: Reserve,
    names: Names,
    free: Sequence[Room],
    placement: Placement,
) -> tuple[Unplaced, ...]:
    if not placement.unplaced:
        return ()
    proofs = prove(demands, free, placement.unplaced)
    reasons = Reasons(placement.free, cluster.left_out, len(kept_back(cluster.nodes, reserve)), names)
    return tuple(
        Unplaced(
            demand.reference,
            placement.unplaced[demand.reference],
            tuple(reasons.of(demand.each, oversized=demand.oversized)),
            proofs[demand.reference],
        )
        for demand in demands
        if demand.reference in placement.unplaced
    )
