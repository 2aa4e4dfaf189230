"""The whole plan: its document, reasons, nodes to add, and the simulated scheduler."""

from typing import Any

from hypothesis import given, settings

from algoplatform.planning.capacity.model import Amounts, Card, Cluster, Demand, Held, LeftOut, Node, Reserve
from algoplatform.planning.capacity.plan import Plan, plan
from algoplatform.planning.capacity.reasons import Names
from benchmarks.fleets import fleet
from tests.planning.capacity.strategies import RESERVES, clusters, demands

T4 = 15_109
SITE = Cluster(
    tuple(Node(f"gpu-a-{at}", "gpu-a", 31_000, 126_976, 110, (Card(T4, 10),) * 4) for at in range(1, 5)),
    left_out=(LeftOut("old", "node(s) were unschedulable"),),
)
HELMET = Demand("algo/helmet_detect:2.1.0", 25, Amounts(1_000, 2_048, 4_096, 1))


def test_the_answer() -> None:
    """When everything fits, the totals account for the reserve, and every replica has the index of a card."""
    found = plan([HELMET], SITE, Reserve(10, 0), 3).document()
    placements = found.pop("placements")
    assert found == {
        "fits": True,
        "totals": {
            "gpuMemory": {"need": 102_400, "have": 241_744, "usable": 217_568},
            "cpu": {"need": 25_000, "have": 124_000, "usable": 124_000},
            "memory": {"need": 51_200, "have": 507_904, "usable": 507_904},
            "shares": {"need": 25, "have": 160, "usable": 160},
            "pods": {"need": 25, "have": 440, "usable": 440},
        },
        "unplaced": [],
        "addNodes": [],
        "scheduler": {"orders": 3, "pending": (0, 0, 0)},
    }
    assert sum(placed["replicas"] for placed in placements) == 25
    assert {placed["card"] for placed in placements} == {0, 1, 2, 3}
    assert placements[0] == {"node": "gpu-a-1", "card": 0, "image": HELMET.reference, "replicas": 3}


def test_what_does_not_fit() -> None:
    """Each reason has the scheduler's words and the number of its nodes; the proof is given beside the reasons."""
    wanted = Demand("algo/big:1.0", 20, Amounts(1_000, 2_048, 8_000, 1))
    found = plan([wanted], SITE, Reserve(10, 1)).document()
    assert found["unplaced"] == [
        {
            "image": "algo/big:1.0",
            "replicas": 8,
            "reasons": [
                {"reason": "Insufficient nvidia.com/gpumem", "nodes": 3, "need": 8_000, "largestFree": 5_598},
                {"reason": "node(s) were kept in reserve", "nodes": 1, "need": None, "largestFree": None},
                {"reason": "node(s) were unschedulable", "nodes": 1, "need": None, "largestFree": None},
            ],
            "proof": "pigeonhole",
        }
    ]
    assert found["addNodes"] == [{"like": "gpu-a", "count": 2}]


def reasons_of(each: Amounts, node: Node, *held: Held) -> list[tuple[str, int | None, int | None]]:
    """Return the reasons why one pod does not fit on one node."""
    names = Names("x/memory", "x/shares")
    [left] = plan([Demand("a", 1, each)], Cluster((node,), held), Reserve(0), names=names).unplaced
    return [(reason.reason, reason.need, reason.largest_free) for reason in left.reasons]


def test_reasons() -> None:
    """Each resource has its own reason; a single card must have enough of both GPU memory and shares."""
    node = Node("n", "n", 1_000, 1_000, 1, (Card(1_000, 1), Card(2_000, 1)))
    assert reasons_of(Amounts(2_000, 3_000), node) == [
        ("Insufficient cpu", 2_000, 1_000),
        ("Insufficient memory", 3_000, 1_000),
    ]
    assert reasons_of(Amounts(), node, Held("n", None, Amounts())) == [("Too many pods", 1, 0)]
    assert reasons_of(Amounts(0, 0, 3_000, 1), node) == [("Insufficient x/memory", 3_000, 2_000)]
    assert reasons_of(Amounts(0, 0, 100, 2), node) == [("Insufficient x/shares", 2, 1)]
    held = Held("n", 1, Amounts(0, 0, 0, 1), 0)
    assert reasons_of(Amounts(0, 0, 2_500, 1), node, held) == [("Insufficient x/memory", 2_500, 2_000)]
    assert reasons_of(Amounts(0, 0, 1, 1), Node("n", "n", 1, 1, 1)) == [("Insufficient x/memory", 1, 0)]


def test_pods_that_run_already() -> None:
    """Running pods reduce what is free on their card and on their node."""
    held = tuple(Held(f"gpu-a-{node}", card, Amounts(1_000, 1_000, 9_000, 1)) for node in (1, 2) for card in range(4))
    found = plan([HELMET], Cluster(SITE.nodes, held))
    assert found.totals["gpuMemory"].usable == 217_568 - 8 * 9_000
    assert found.totals["cpu"].usable == 124_000 - 8_000
    assert {placed.replicas for placed in found.placements if placed.node == "gpu-a-1"} == {1}


def grown(cluster: Cluster, found: Plan) -> Cluster:
    """Return the cluster with the nodes that a plan proposes to add."""
    rows = {node.kind: node for node in reversed(cluster.nodes)}
    more = [
        # The names sort behind those of the existing nodes, as the next numbers of a row would.
        Node(f"new-{kind.like}-{at:09}", kind.like, row.cpu, row.memory, row.pods, row.cards)
        for kind in found.add_nodes
        for row in [rows[kind.like]]
        for at in range(kind.count)
    ]
    return Cluster((*cluster.nodes, *more), cluster.held, cluster.left_out)


def test_nodes_to_add() -> None:
    """Everything fits once the proposed nodes are added; none are proposed if no row would help."""
    assert grown(SITE, plan([HELMET], SITE)) == SITE
    many = [Demand("a", 200, Amounts(1_000, 1_000, 5_000, 1)), Demand("b", 100, Amounts(500, 500, 3_000, 1))]
    found = plan(many, SITE)
    assert not found.fits
    assert plan(many, grown(SITE, found)).fits
    assert [more.count for more in found.add_nodes] == [21]
    assert plan([Demand("a", 1, Amounts(gpu_memory=14_000, shares=1))], SITE).add_nodes == ()
    assert plan([Demand("a", 1, Amounts(), oversized=True)], SITE).add_nodes == ()


def test_nodes_to_add_beside_any_name() -> None:
    """No name of a node is mistaken for that of a new one."""
    wanted = [Demand("a:1", 5, Amounts(600))]
    for first in ("+0.0", "+1.0", "+n-2", "n-2"):
        nodes = tuple(Node(name, "n", 1_000, 1_000, 110) for name in (first, f"+{first}"))
        found = plan(wanted, Cluster(nodes))
        assert [(more.like, more.count) for more in found.add_nodes] == [("n", 3)]


def test_nodes_to_add_are_bounded() -> None:
    """500 nodes of 2,000 cards are not proposed: checking a million cards would take minutes and gigabytes."""
    cluster = Cluster((Node("n", "n", 1_000, 1_000, 110, (Card(15_109, 10),) * 2_000),))
    few, many = (plan([Demand("a:1", replicas, Amounts(1_000, 0, 100, 1))], cluster) for replicas in (3, 500))
    assert [(each.like, each.count) for each in few.add_nodes] == [("n", 2)]
    assert many.add_nodes == ()


def test_nodes_to_add_of_two_rows() -> None:
    """Where GPU pods fit only on one row and CPU pods only on the other, the plan proposes nodes of both."""
    nodes = (Node("g-1", "g", 2_000, 9_000, 9, (Card(T4, 10),)), Node("c-1", "c", 64_000, 90_000, 110))
    wanted = [Demand("gpu", 4, Amounts(100, 100, 12_000, 1)), Demand("cpu", 5, Amounts(32_000, 100))]
    found = plan(wanted, Cluster(nodes))
    assert {(more.like, more.count) for more in found.add_nodes} == {("g", 3), ("c", 2)}
    assert plan(wanted, grown(Cluster(nodes), found)).fits


def test_nodes_to_add_with_a_reserve() -> None:
    """The plan also proposes the nodes that are kept in reserve."""
    found = plan([HELMET], Cluster(SITE.nodes[:1]), Reserve(10, 2))
    assert [more.count for more in found.add_nodes] == [4]
    assert plan([HELMET], grown(Cluster(SITE.nodes[:1]), found), Reserve(10, 2)).fits


def test_nodes_to_add_where_the_reserve_moves() -> None:
    """The reserve moves from a node with a running pod to the new, empty node, so the plan needs one node more."""
    nodes = tuple(Node(f"g-{at}", "g", 31_000, 126_976, 110, (Card(T4, 10),)) for at in (1, 2))
    cluster = Cluster(nodes, (Held("g-2", 0, Amounts(gpu_memory=9_000, shares=1)),))
    wanted = [Demand("a", 2, Amounts(100, 100, 12_000, 1))]
    found = plan(wanted, cluster, Reserve(10, 1))
    assert [more.count for more in found.add_nodes] == [2]
    assert plan(wanted, grown(cluster, found), Reserve(10, 1)).fits


@settings(max_examples=40, deadline=None)
@given(demands(), clusters(), RESERVES)
def test_any_plan(wanted: list[Demand], cluster: Cluster, reserve: Reserve) -> None:
    """For any input, what does not fit has a reason for every node, and everything fits on the proposed nodes."""
    found = plan(wanted, cluster, reserve, 1)
    assert found.fits == (not found.unplaced)
    for left in found.unplaced:
        assert sum(reason.nodes for reason in left.reasons) >= len(cluster.nodes) + len(cluster.left_out)
    document: dict[str, Any] = found.document()
    assert list(document) == ["fits", "totals", "placements", "unplaced", "addNodes", "scheduler"]
    if found.add_nodes:
        assert found.unplaced
        assert plan(wanted, grown(cluster, found), reserve).fits


def test_the_scheduler_never_moves_pods() -> None:
    """The simulated scheduler leaves pods pending that a plan places, and the same number in each run."""
    made = fleet(3, gpu=0.98, cpu=0.95, memory=0.9, nodes=20, images=60, pods=500)
    found = plan(made.demands, made.cluster, Reserve(0), 5)
    again = plan(made.demands, made.cluster, Reserve(0), 5)
    assert found.scheduler == again.scheduler
    assert found.scheduler.orders == 5
    assert min(found.scheduler.pending) > sum(left.replicas for left in found.unplaced)


def test_the_scheduler_spreads_and_takes_the_first_card() -> None:
    """Each pod goes to the emptiest node; it stays pending if its card is full, even if others have room."""
    nodes = tuple(Node(f"n-{at}", "n", 1_000, 1_000, 9, (Card(1_000, 9),)) for at in range(2))
    small, large = Demand("small", 2, Amounts(100, 100, 400, 1)), Demand("large", 1, Amounts(100, 100, 1_000, 1))
    found = plan([small, large], Cluster(nodes), Reserve(0), 20)
    assert found.fits
    # Two small pods on different nodes leave no card for the large pod, unless it comes first or second.
    assert set(found.scheduler.pending) == {0, 1}
