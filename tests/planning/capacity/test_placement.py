"""Placing pods on cards and nodes: valid, complete, near the optimum, fast."""

import os
import time
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algoplatform.planning.capacity.model import Amounts, Card, Cluster, Demand, Node, Reserve
from algoplatform.planning.capacity.packing import balancing, mixing
from algoplatform.planning.capacity.packing.board import Board
from algoplatform.planning.capacity.placement import Placement, place
from algoplatform.planning.capacity.recount import recount
from algoplatform.planning.capacity.room import rooms
from benchmarks.fleets import Fleet, first_fit_decreasing, fleet
from tests.planning.capacity.strategies import RESERVES, clusters, demands, fewest_left

FULL = os.environ.get("ALGOPLATFORM_TEST_FULL")
T4 = 15_109
EXAMPLES = 1_000 if FULL else 60
TINY = 200 if FULL else 20


def checked(wanted: list[Demand], cluster: Cluster, reserve: Reserve) -> Placement:
    """Return a placement after a recount has checked it."""
    found = place(wanted, rooms(cluster, reserve))
    recount(wanted, cluster, reserve, found.placed, found.unplaced)
    return found


def test_a_site() -> None:
    """25 replicas of one image, 5 of another and 3 without a GPU are placed on four nodes of four cards."""
    nodes = tuple(Node(f"gpu-a-{at}", "gpu-a", 31_000, 126_976, 110, (Card(T4, 10),) * 4) for at in range(1, 5))
    wanted = [
        Demand("algo/helmet_detect:2.1.0", 25, Amounts(1_000, 2_048, 4_096, 1)),
        Demand("algo/plate_color:1.4", 5, Amounts(500, 1_024, 2_048, 1)),
        Demand("algo/posterize:1.0", 3, Amounts(500, 1_024)),
    ]
    found = checked(wanted, Cluster(nodes), Reserve())
    assert not found.unplaced
    assert sum(placed.replicas for placed in found.placed) == 33
    assert {placed.card for placed in found.placed if placed.reference == "algo/posterize:1.0"} == {None}


@pytest.mark.parametrize("seed", range(20 if FULL else 2))
@pytest.mark.parametrize("mixed", [False, True])
def test_500_images_on_200_nodes(seed: int, mixed: bool) -> None:
    """5,000 pods that need 95 % of the GPU memory and 90 % of the CPU are all placed, within a second of CPU time."""
    made = fleet(seed, gpu=0.95, cpu=0.9, memory=0.85, mixed=mixed)
    began = time.thread_time()
    found = checked(made.demands, made.cluster, Reserve())
    assert time.thread_time() - began < 1
    assert not found.unplaced
    assert first_fit_decreasing(made.demands, rooms(made.cluster, Reserve())) > made.pods / 20


@pytest.mark.parametrize("seed", range(20 if FULL else 2))
def test_at_98_percent(seed: int) -> None:
    """Cards of equal size are filled to 98 % of their memory while 98 % of the CPU is used."""
    made = fleet(seed, gpu=0.98, cpu=0.98, memory=0.9, mixed=False)
    assert not checked(made.demands, made.cluster, Reserve()).unplaced


def test_the_largest_in_bounded_time() -> None:
    """A placement at every limit, of more pods than fit, ends: the number of repair steps is limited."""
    nodes, images, pods = (2_000, 1_000, 50_000) if FULL else (40, 50, 800)
    made = fleet(1, gpu=1.1, cpu=0.9, memory=0.9, nodes=nodes, images=images, pods=pods)
    began = time.thread_time()
    found = checked(made.demands, made.cluster, Reserve())
    assert time.thread_time() - began < (60 if FULL else 15)
    assert 0 < sum(found.unplaced.values()) / made.pods < 0.1


def test_full_nodes_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node without free CPU is not tried with each class of pods, even if its card has room."""
    wanted = [Demand(f"algo/{at}:1.0", 2, Amounts(901 + at, 100, 300 + at, 1)) for at in range(99)]
    free = rooms(
        Cluster(tuple(Node(f"n-{at}", "n", 1_000, 1_000, 110, (Card(80_000, 10),)) for at in range(198))), Reserve(0)
    )
    looks = 0
    most = Board.most

    def counting(board: Board, kind: int, slot: int) -> int:
        nonlocal looks
        looks += 1
        return most(board, kind, slot)

    monkeypatch.setattr(Board, "most", counting)
    assert not place(wanted, free).unplaced
    assert looks < 198 * 10


def test_looks_at_classes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many nodes and many classes of CPU pods, each node tries a limited number of classes; all pods fit."""
    wanted = [Demand(f"algo/{at}:1.0", 3, Amounts(901 + at, 100)) for at in range(99)]
    free = rooms(Cluster(tuple(Node(f"n-{at}", "n", 1_000, 1_000, 110) for at in range(297))), Reserve(0))
    looks: list[int] = []
    most = Board.most

    def counting(board: Board, kind: int, slot: int) -> int:
        looks[-1] += 1
        return most(board, kind, slot)

    monkeypatch.setattr(Board, "most", counting)
    for bound in (balancing._LOOKS, 1):
        monkeypatch.setattr(balancing, "_LOOKS", bound)
        looks.append(0)
        assert not place(wanted, free).unplaced
    assert looks[1] < looks[0] / 2


def test_the_work_for_a_node_does_not_grow_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work for each node is constant, as addNodes may try tens of thousands: one for each pod of a plan."""
    seen: list[int] = []
    rate = mixing._rate

    def counting(need: int, nodes: Sequence[tuple[int, int]]) -> float:
        seen.append(len(nodes))
        return rate(need, nodes)

    monkeypatch.setattr(mixing, "_rate", counting)
    nodes = tuple(Node(f"n-{at}", "n", 1_000, 1_000, 110, (Card(T4, 10),)) for at in range(6_000))
    assert not place([Demand("algo/x:1.0", 6_000, Amounts(0, 0, T4, 1))], rooms(Cluster(nodes), Reserve(0))).unplaced
    assert len(seen) == 2 * 250
    assert sum(seen) < 300 * len(nodes)


@settings(max_examples=EXAMPLES, deadline=None)
@given(demands(), clusters(), RESERVES)
def test_every_placement_is_valid(wanted: list[Demand], cluster: Cluster, reserve: Reserve) -> None:
    """For any input the recount passes, and no unplaced pod would still fit."""
    found = checked(wanted, cluster, reserve)
    for demand in wanted:
        if demand.reference in found.unplaced and not demand.oversized:
            assert place([Demand("more", 1, demand.each)], found.free).unplaced


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(demands(), clusters(), RESERVES, st.randoms())
def test_the_order_makes_no_difference(
    wanted: list[Demand], cluster: Cluster, reserve: Reserve, random: Random
) -> None:
    """Reordering demands and nodes does not change the placement."""
    before = place(wanted, rooms(cluster, reserve))
    nodes = list(cluster.nodes)
    random.shuffle(nodes)
    random.shuffle(wanted)
    after = place(wanted, rooms(Cluster(tuple(nodes), cluster.held), reserve))
    assert set(after.placed) == set(before.placed)
    assert after.unplaced == before.unplaced


@settings(max_examples=EXAMPLES, deadline=None)
@given(demands(2), clusters(2), RESERVES)
def test_as_good_as_trying_all(wanted: list[Demand], cluster: Cluster, reserve: Reserve) -> None:
    """On tiny clusters at most one more pod is unplaced than in the best possible placement."""
    free = rooms(cluster, reserve)
    left = sum(place(wanted, free).unplaced.values())
    best = fewest_left(wanted, free)
    assert best <= left <= best + 1


def test_mostly_as_good_as_trying_all() -> None:
    """On at least 95 % of tiny full clusters, no placement leaves fewer pods unplaced."""
    worse = 0
    for seed in range(TINY):
        made = tiny(seed)
        free = rooms(made.cluster, Reserve())
        worse += sum(place(made.demands, free).unplaced.values()) > fewest_left(made.demands, free)
    assert worse <= TINY / 20


def tiny(seed: int) -> Fleet:
    """Return a full cluster of two to four cards, and at most eight pods."""
    random = Random(seed)
    cards = [tuple(Card(random.randint(8, 20), 6) for _ in range(random.randint(1, 2))) for _ in range(2)]
    nodes = tuple(Node(f"n{at}", "n", random.randint(8, 20), 99, 9, of) for at, of in enumerate(cards))
    wanted = [
        Demand(f"a{at}", random.randint(1, 2), Amounts(random.randint(1, 5), 1, random.randint(2, 9), 1))
        for at in range(4)
    ]
    return Fleet(wanted, Cluster(nodes))
