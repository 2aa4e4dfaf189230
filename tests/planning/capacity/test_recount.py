"""The recount detects every kind of invalid placement."""

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
    """Recount a placement; `gpu` and `cpu` count unplaced replicas."""
    left = {name: number for name, number in {"gpu": gpu, "cpu": cpu}.items() if number}
    recount(DEMANDS, Cluster(NODES, held), reserve or Reserve(), placed, left)


def test_a_right_placement() -> None:
    """A placement within all limits passes, and so does an empty one."""
    check(*RIGHT, cpu=2)
    check(*RIGHT, cpu=2, reserve=Reserve(10, 1))
    check(gpu=3, cpu=2)


def test_what_runs_may_exceed_the_reserve() -> None:
    """A card filled beyond the reserve by running pods is a violation only if it gets new pods."""
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
    """The limits of each node and of each card are enforced."""
    count = {"gpu": 3, "cpu": 2}
    for _, _, reference, replicas in placed:
        count[reference] -= replicas
    with pytest.raises(Violated, match=said):
        check(*placed, gpu=max(0, count["gpu"]), cpu=max(0, count["cpu"]))


def test_replicas_that_are_lost() -> None:
    """A replica that is neither placed nor unplaced is a violation."""
    with pytest.raises(Violated, match="not those asked for"):
        check(*RIGHT, cpu=1)


def test_a_node_in_reserve() -> None:
    """With one node in reserve, using one of the two nodes is valid, and using both is not."""
    with pytest.raises(Violated, match="in reserve"):
        check(("a", 0, "gpu", 2), ("b", 0, "gpu", 1), cpu=2, reserve=Reserve(10, 1))
