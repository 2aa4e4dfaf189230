"""Proofs that demands cannot fit: never wrong, and found in the plain cases."""

import tracemalloc

from hypothesis import given, settings

from algoplatform.planning.capacity.model import Amounts, Card, Cluster, Demand, Node, Reserve
from algoplatform.planning.capacity.placement import place
from algoplatform.planning.capacity.proofs import Proof, prove
from algoplatform.planning.capacity.room import rooms
from tests.planning.capacity.strategies import RESERVES, clusters, demands, fewest_left

T4 = 15_109
SITE = Cluster(tuple(Node(f"gpu-{at}", "gpu", 31_000, 126_976, 110, (Card(T4, 10),) * 4) for at in range(1, 5)))


def proofs_of(*wanted: Demand, cluster: Cluster = SITE) -> dict[str, Proof]:
    """Return the proof for each demand that is not placed in full."""
    free = rooms(cluster, Reserve())
    return prove(wanted, free, place(wanted, free).unplaced)


def test_by_card_size() -> None:
    """A pod larger than nine tenths of a card fits nowhere, although a slightly smaller one does."""
    assert proofs_of(
        Demand("large", 1, Amounts(1_000, 2_048, 13_599, 1)), Demand("small", 16, Amounts(1_000, 2_048, 13_598, 1))
    ) == {"large": "card-size"}
    assert proofs_of(Demand("oversized", 2, Amounts(gpu_memory=1, shares=1), oversized=True)) == {
        "oversized": "card-size"
    }
    assert proofs_of(Demand("cpu", 1, Amounts(cpu=31_001))) == {"cpu": "card-size"}


def test_by_sum() -> None:
    """A demand above the total of any resource is proven, also if only the cards that are large enough are totalled."""
    assert proofs_of(Demand("gpu", 54, Amounts(100, 100, 4_096, 1))) == {"gpu": "sum"}
    assert proofs_of(Demand("cpu", 125, Amounts(cpu=1_000))) == {"cpu": "sum"}
    assert proofs_of(Demand("memory", 32, Amounts(memory=16_000))) == {"memory": "sum"}
    assert proofs_of(Demand("shares", 161, Amounts(gpu_memory=1, shares=1))) == {"shares": "sum"}
    assert proofs_of(Demand("pods", 441, Amounts())) == {"pods": "sum"}
    one_large = Cluster((*SITE.nodes, Node("big", "big", 31_000, 126_976, 110, (Card(40_960, 10),))))
    assert proofs_of(Demand("large", 3, Amounts(100, 100, 14_000, 1)), cluster=one_large) == {"large": "sum"}


def test_by_pigeonhole() -> None:
    """The totals suffice, but each card holds only one of the pods, or two that leave a third of it unused."""
    assert proofs_of(Demand("half", 20, Amounts(100, 100, 8_000, 1))) == {"half": "pigeonhole"}
    assert proofs_of(Demand("third", 40, Amounts(100, 100, 4_600, 1))) == {"third": "pigeonhole"}
    assert proofs_of(Demand("cpu", 5, Amounts(cpu=16_000))) == {"cpu": "pigeonhole"}
    mixed = [Demand(f"m{at}", 10, Amounts(100, 100, 7_000 + at, 1)) for at in range(2)]
    assert set(proofs_of(*mixed).values()) == {"pigeonhole"}


def test_by_filling() -> None:
    """198 MiB of each card stay free, too few for any pod of 200 MiB."""
    wanted = [Demand("a", 16, Amounts(100, 100, 5_000, 1)), Demand("b", 16, Amounts(100, 100, 8_400, 1))]
    assert not proofs_of(*wanted)
    assert set(proofs_of(*wanted, Demand("c", 1, Amounts(100, 100, 200, 1))).values()) == {"pigeonhole"}


def test_a_card_that_does_not_exist() -> None:
    """The bitmap of possible sums has a bit for each MiB of a card: for the largest valid size, 256 MiB and seconds."""
    huge = Cluster((Node("huge", "huge", 31_000, 126_976, 110, (Card(2**31 - 1, 10),)),))
    tracemalloc.start()
    try:
        assert proofs_of(Demand("a", 11, Amounts(100, 100, 5_000, 1)), cluster=huge) == {"a": "sum"}
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


@settings(max_examples=100, deadline=None)
@given(demands(2), clusters(2), RESERVES)
def test_a_proof_is_right(wanted: list[Demand], cluster: Cluster, reserve: object) -> None:
    """Where a proof is given, even exhaustive search leaves pods unplaced."""
    assert isinstance(reserve, Reserve)
    free = rooms(cluster, reserve)
    every = prove(wanted, free, [demand.reference for demand in wanted])
    shown = [reference for reference, proof in every.items() if proof != "none"]
    assert not shown or fewest_left(wanted, free)
    assert all(proof == "card-size" for proof in every.values() if not free)
