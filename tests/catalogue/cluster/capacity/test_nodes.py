"""Nodes and running pods as listed in a request."""

from collections.abc import Iterator

from algoplatform.catalogue.cluster.capacity.nodes import Reading, running
from algoplatform.domain.plan.model import RunningRow
from algoplatform.planning.capacity.model import Amounts, Card, Cluster, Held, Node


class Counted(tuple[int, ...]):
    """The card of each unit; counts the iterations."""

    reads = 0

    def __iter__(self) -> Iterator[int]:
        Counted.reads += 1
        return super().__iter__()


def test_units_are_read_once() -> None:
    """Units of a node are read once instead of for each row: there may be 20,000 units and 50,000 rows."""
    node = Node("n", "n", 1000, 1000, 110, (Card(100, 1),) * 5)
    each = Amounts(1, 1, 100, 1)
    rows = [(RunningRow("n", card, replicas=replicas), each) for card, replicas in ((0, 1), (0, 3), (1, 8))]
    held = running(rows, Reading(Cluster((node,)), {"n": Counted((0, 0, 1, 1, 1))}, []))
    expected = [(0, 1), (0, 2), (1, 1), (2, 3), (3, 3), (4, 2)]
    assert held == tuple(Held("n", unit, each, pods) for unit, pods in expected)
    assert Counted.reads == 1
