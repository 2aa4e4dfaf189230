"""Pods on cards and nodes."""

from algoplatform.planning.capacity.model import Amounts, Card, Cluster, Demand, Node, Reserve
from algoplatform.planning.capacity.placement import place
from algoplatform.planning.capacity.room import rooms

T4 = 15_109


def test_a_site() -> None:
    """25 replicas of one image and 5 of another are on four nodes of four cards."""
    nodes = tuple(Node(f"gpu-a-{at}", "gpu-a", 31_000, 126_976, 110, (Card(T4, 10),) * 4) for at in range(1, 5))
    demands = [
        Demand("algo/helmet_detect:2.1.0", 25, Amounts(1_000, 2_048, 4_096, 1)),
        Demand("algo/plate_color:1.4", 5, Amounts(500, 1_024, 2_048, 1)),
        Demand("algo/posterize:1.0", 3, Amounts(500, 1_024)),
    ]
    found = place(demands, rooms(Cluster(nodes), Reserve()))
    assert not any(found.unplaced.values())
    assert sum(placed.replicas for placed in found.placed) == 33
    assert {placed.card for placed in found.placed if placed.reference == "algo/posterize:1.0"} == {None}
