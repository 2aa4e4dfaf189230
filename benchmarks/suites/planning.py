"""Plans: unplaced pods and seconds, compared with first-fit-decreasing."""

import statistics
import time
from typing import Final

from algoplatform.planning.capacity.model import Reserve
from algoplatform.planning.capacity.placement import place
from algoplatform.planning.capacity.plan import plan
from algoplatform.planning.capacity.room import rooms
from benchmarks.fleets import Fleet, first_fit_decreasing, fleet
from benchmarks.results import Goal, Result, compared
from benchmarks.session import Session

_SECONDS: Final = Goal("at most", 1, "figure")
_ALL: Final = Goal("at least", 100, "figure")


def planning(session: Session) -> list[Result]:
    """Place 500 images on 200 nodes at 98 % of all GPU memory; at the limits, place 10 % more than fits."""
    fleets = [fleet(seed, gpu=0.98, cpu=0.9, memory=0.85, mixed=seed % 2 == 1) for seed in range(session.plan.rounds)]
    ours: list[float] = []
    floor: list[float] = []
    left: list[int] = []
    left_by_floor: list[int] = []
    for made in fleets:
        free = rooms(made.cluster, Reserve())
        began = time.process_time()
        left.append(sum(place(made.demands, free).unplaced.values()))
        ours.append(time.process_time() - began)
        began = time.process_time()
        left_by_floor.append(first_fit_decreasing(made.demands, free))
        floor.append(time.process_time() - began)
    pods, cards = (statistics.mean(of) for of in ([made.pods for made in fleets], [made.cards for made in fleets]))
    note = f"{pods:,.0f} pods on {cards:.0f} cards on average; floor: first-fit-decreasing"
    placed, by_floor = (
        min(100 * (1 - missing / made.pods) for missing, made in zip(of, fleets, strict=True))
        for of in (left, left_by_floor)
    )
    return [
        compared("plan of 500 images on 200 nodes at 98 %", "s", ours, floor, _SECONDS, note),
        Result("the same: pods placed", "%", placed, by_floor, placed / by_floor, _ALL, f"least of {len(fleets)} runs"),
        *_largest(session),
    ]


def _largest(session: Session) -> list[Result]:
    part = 1 if session.plan.rounds > 1 else 40
    made: Fleet = fleet(1, gpu=1.1, cpu=0.9, memory=0.85, nodes=2_000 // part, images=1_000, pods=50_000 // part)
    began = time.process_time()
    plan(made.demands, made.cluster, Reserve(), 5)
    seconds = time.process_time() - began
    note = f"{made.pods:,} pods on {made.cards:,} cards that need 110 % of them; with proofs, nodes to add, 5 orders"
    return [Result(f"plan of 1,000 images on {2_000 // part:,} nodes", "s", seconds, note=note)]
