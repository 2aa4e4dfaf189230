"""Hypothesis strategies for small clusters and demands, and the best placement found by exhaustive search."""

from collections.abc import Sequence
from functools import cache

from hypothesis import strategies as st

from algoplatform.planning.capacity.model import Amounts, Card, Cluster, Demand, Held, LeftOut, Node, Reserve
from algoplatform.planning.capacity.room import Room

_CARDS = st.lists(st.builds(Card, st.integers(0, 12), st.integers(0, 4)), max_size=3).map(tuple)
_AMOUNTS = st.one_of(
    st.builds(Amounts, st.integers(0, 6), st.integers(0, 6), st.integers(1, 12), st.integers(0, 2)),
    st.builds(Amounts, st.integers(0, 6), st.integers(0, 6)),
    st.builds(Amounts, st.integers(0, 6), st.integers(0, 6), st.just(0), st.integers(1, 2)),
)


@st.composite
def clusters(draw: st.DrawFn, most: int = 4) -> Cluster:
    """Return a cluster with running pods, which sometimes exceed its capacity."""
    names = [f"n-{at}" for at in range(draw(st.integers(0, most)))]
    nodes = tuple(
        Node(name, name, draw(st.integers(0, 16)), draw(st.integers(0, 16)), draw(st.integers(0, 9)), draw(_CARDS))
        for name in names
    )
    held = []
    for node in nodes:
        if draw(st.booleans()):
            card = draw(st.sampled_from([None, *range(len(node.cards))]))
            held.append(Held(node.name, card, draw(_AMOUNTS), draw(st.integers(1, 2))))
    return Cluster(nodes, tuple(held), (LeftOut("gone", "node(s) were unschedulable"),))


def demands(replicas: int = 9) -> st.SearchStrategy[list[Demand]]:
    """Return up to five demands with different references."""
    one = st.tuples(st.integers(1, replicas), _AMOUNTS, st.integers(0, 9).map(lambda number: not number))
    return st.lists(one, max_size=5).map(
        lambda found: [Demand(f"algo/a{at}:1.0", *parts) for at, parts in enumerate(found)]
    )


RESERVES = st.builds(Reserve, st.sampled_from([0, 10, 50]), st.integers(0, 2))


def fewest_left(wanted: Sequence[Demand], rooms: Sequence[Room]) -> int:
    """Return how many pods the best possible placement leaves unplaced, found by exhaustive search."""
    pods = [demand.each for demand in wanted if not demand.oversized for _ in range(demand.replicas)]
    state = tuple(
        (room.cpu, room.memory, room.pods, tuple(zip(room.card_memory, room.card_shares, strict=True)))
        for room in rooms
    )

    @cache
    def best(at: int, nodes: tuple[tuple[int, int, int, tuple[tuple[int, int], ...]], ...]) -> int:
        if at == len(pods):
            return 0
        each = pods[at]
        found = best(at + 1, nodes)
        for index, (cpu, memory, room, cards) in enumerate(nodes):
            if each.cpu > cpu or each.memory > memory or room < 1:
                continue
            after = []
            if each.gpu_memory or each.shares:
                for card, (free, shares) in enumerate(cards):
                    if each.gpu_memory <= free and each.shares <= shares:
                        left = (free - each.gpu_memory, shares - each.shares)
                        after.append((*cards[:card], left, *cards[card + 1 :]))
            else:
                after.append(cards)
            for new in after:
                node = (cpu - each.cpu, memory - each.memory, room - 1, tuple(sorted(new)))
                found = max(found, 1 + best(at + 1, tuple(sorted((*nodes[:index], node, *nodes[index + 1 :])))))
        return found

    return sum(demand.replicas for demand in wanted) - best(0, state)
