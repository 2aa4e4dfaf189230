"""The recount finds every kind of fault in a placement."""

import pytest

from algoplatform.planning.capacity.model import Amounts, Card, Cluster, Demand, Held, Node, Reserve
from algoplatform.planning.capacity.recount import Violated, recount

NODES = tuple(Node(name, "n", 1_000, 1_000, 3, (Card(1_000, 2), Card(500, 2))) for name in "ab")
DEMANDS = [Demand("gpu", 3, Amounts(100, 100, 400, 1)), Demand("cpu", 2, Amounts(600, 100))]
RIGHT = [("a", 0, "gpu", 2), ("a", 1, "gpu", 1)]


def check(
    *placed: tuple[str, int | None, str, int], held: tuple[Held, ...] = (), reserve: Reserve | None = None,
    gpu: int = 0, cpu: int = 0,
) -> None:  # fmt: skip
    """Recount a placement; `gpu` and `cpu` are replicas that have no place."""
    left = {name: number for name, number in {"gpu": gpu, "cpu": cpu}.items() if number}
    recount(DEMANDS, Cluster(NODES, held), reserve or Reserve(), placed, left)


def test_a_right_placement() -> None:
    """What is within all limits is right, and so is nothing."""
    check(*RIGHT, cpu=2)
    check(*RIGHT, cpu=2, reserve=Reserve(10, 1))
    check(gpu=3, cpu=2)


def test_what_runs_may_exceed_the_reserve() -> None:
    """A card that is over its reserve already is no fault unless new pods take of it."""
    held = (Held("a", 0, Amounts(0, 0, 950, 1)),)
    check(("a", None, "cpu", 1), held=held, gpu=3, cpu=1)
    with pytest.raises(Violated, match="1350 of 900 GPU memory"):
        check(("a", 0, "gpu", 1), held=held, gpu=2, cpu=2)


@pytest.mark.parametrize(
    ("placed", "said"),
    [
        ([("a", 0, "gpu", 3)], "1200 of 900 GPU memory"),
        ([("a", 1, "gpu", 2)], "800 of 450 GPU memory"),
        ([("a", None, "cpu", 2)], "1200 of 1000 cpu"),
        ([("a", None, "gpu", 1)], "has none"),
        ([("a", 0, "gpu", 4)], "not those asked for"),
        ([("a", 0, "gpu", 0)], "0 replicas"),
        ([*RIGHT, ("a", None, "cpu", 1)], "4 of 3 pods"),
    ],
)
def test_faults(placed: list[tuple[str, int | None, str, int]], said: str) -> None:
    """Each limit is kept by node and by card."""
    count = {"gpu": 3, "cpu": 2}
    for _, _, reference, replicas in placed:
        count[reference] -= replicas
    with pytest.raises(Violated, match=said):
        check(*placed, gpu=max(0, count["gpu"]), cpu=max(0, count["cpu"]))


def test_replicas_that_are_lost() -> None:
    """Each replica is placed or unplaced."""
    with pytest.raises(Violated, match="not those asked for"):
        check(*RIGHT, cpu=1)


def test_a_node_in_reserve() -> None:
    """With one node in reserve, the other may be used, and not both."""
    with pytest.raises(Violated, match="in reserve"):
        check(("a", 0, "gpu", 2), ("b", 0, "gpu", 1), cpu=2, reserve=Reserve(10, 1))
