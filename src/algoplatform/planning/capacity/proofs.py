"""Proofs that the demands cannot all be placed, as far as such proofs are found.

A proof shows that no placement holds certain demands together:

- `card-size`: not even one replica fits on any node, even without other pods of the plan.
- `sum`: these demands together need more of a resource than the cards and nodes that can hold any of them have.
- `pigeonhole`: each card or node can hold so few of their pods that all together hold too few.
- `none`: no placement was found, but no proof either.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from itertools import accumulate, combinations
from typing import Final, Literal, NamedTuple

from algoplatform.planning.capacity.model import Amounts, Demand
from algoplatform.planning.capacity.room import Room

Proof = Literal["card-size", "sum", "pigeonhole", "none"]

_CPU, _MEMORY, _GPU, _SHARES = range(4)
_Vector = tuple[int, int, int, int]
# Comparisons of a pod size with a card or node that each kind of proof may make: about a second.
_STEPS: Final = 1_000_000
# The largest card, in MiB, for which sums of pod sizes are computed, one bit per MiB: 1 TiB, more than any card has.
_MOST_SUMS: Final = 2**20


def prove(demands: Sequence[Demand], rooms: Sequence[Room], unplaced: Iterable[str]) -> dict[str, Proof]:
    """Return the proof for each unplaced reference; `rooms` is the free room before anything is placed."""
    wanted = set(unplaced)
    sites = _sites(rooms)
    hopeful = [demand for demand in demands if not demand.oversized and _holds_one(demand.each, sites)]
    pods: Counter[_Vector] = Counter()
    for demand in hopeful:
        pods[astuple(demand.each)] += demand.replicas
    each = {demand.reference: astuple(demand.each) for demand in hopeful}
    witnesses = [
        *_sums(pods, sites),
        *_crowds(pods, sites, {each[reference] for reference in wanted if reference in each}),
        *_fillings(pods, sites),
    ]
    return {reference: _proof(each.get(reference), witnesses) for reference in sorted(wanted)}


class _Site(NamedTuple):
    """A number of nodes with equal free room; their cards as (MiB, shares)."""

    nodes: int
    cpu: int
    memory: int
    pods: int
    cards: tuple[tuple[int, int], ...]


class _Witness(NamedTuple):
    """A proof that the pods that need at least `least` in every dimension cannot all be placed."""

    proof: Proof
    least: _Vector


def _sites(rooms: Sequence[Room]) -> list[_Site]:
    cards = (tuple(sorted(zip(room.card_memory, room.card_shares, strict=True))) for room in rooms)
    keys = Counter((room.cpu, room.memory, room.pods, of) for room, of in zip(rooms, cards, strict=True))
    return [_Site(nodes, *key) for key, nodes in sorted(keys.items())]


def _holds_one(each: Amounts, sites: Sequence[_Site]) -> bool:
    return any(_most(astuple(each), site) for site in sites)


def _most(each: _Vector, site: _Site) -> int:
    """Return how many pods of this size one node holds at most."""
    cpu, memory, gpu, shares = each
    fits = min(site.pods, site.cpu // cpu if cpu else site.pods, site.memory // memory if memory else site.pods)
    if (gpu or shares) and fits > 0:
        fits = min(fits, sum(_most_on_card(gpu, shares, card, fits) for card in site.cards))
    return max(0, fits)


def _most_on_card(gpu: int, shares: int, card: tuple[int, int], most: int) -> int:
    return min(card[0] // gpu if gpu else most, card[1] // shares if shares else most)


def _proof(each: _Vector | None, witnesses: Sequence[_Witness]) -> Proof:
    if each is None:
        return "card-size"
    covering = (witness.proof for witness in witnesses if _at_least(each, witness.least))
    return next(covering, "none")


def _at_least(each: _Vector, least: _Vector) -> bool:
    return all(amount >= limit for amount, limit in zip(each, least, strict=True))


def _least(**amounts: int) -> _Vector:
    return astuple(Amounts(**amounts))


def _sums(pods: Counter[_Vector], sites: Sequence[_Site]) -> Iterator[_Witness]:
    """Compare need with capacity, first for all pods, then for large ones alone and the cards that can hold them."""
    cards = sorted((*card, site.nodes) for site in sites for card in site.cards)
    nodes = sorted((max(site.cards, default=(-1, 0))[0], site) for site in sites)
    by_card = [card[0] for card in cards]
    by_node = [largest for largest, _ in nodes]
    have = {
        "gpu_memory": (by_card, _from_end(memory * number for memory, _, number in cards)),
        "shares": (by_card, _from_end(shares * number for _, shares, number in cards)),
        "cpu": (by_node, _from_end(site.cpu * site.nodes for _, site in nodes)),
        "memory": (by_node, _from_end(site.memory * site.nodes for _, site in nodes)),
    }
    count = (by_node, _from_end(site.pods * site.nodes for _, site in nodes))
    sizes = sorted({each[_GPU] for each in pods} | {0})
    for dimension, amount in (("gpu_memory", _GPU), ("shares", _SHARES), ("cpu", _CPU), ("memory", _MEMORY)):
        for size in sizes:
            need = sum(each[amount] * number for each, number in pods.items() if each[_GPU] >= size)
            if need > _beyond(have[dimension], size):
                yield _Witness(
                    "sum", _least(**({"gpu_memory": size} | {dimension: max(1, size if amount == _GPU else 1)}))
                )
                break
    for size in sizes:
        if sum(number for each, number in pods.items() if each[_GPU] >= size) > _beyond(count, size):
            yield _Witness("sum", _least(gpu_memory=size))
            break


def _from_end(values: Iterable[int]) -> list[int]:
    return list(accumulate(reversed([*values, 0])))[::-1]


def _beyond(have: tuple[list[int], list[int]], size: int) -> int:
    """Return the total of the cards (or nodes with cards) of at least `size` MiB; 0 includes nodes without cards."""
    keys, totals = have
    return totals[bisect_left(keys, size) if size else 0]


def _crowds(pods: Counter[_Vector], sites: Sequence[_Site], unplaced: set[_Vector]) -> Iterator[_Witness]:
    """Compare the number of pods of at least some size, in one or more dimensions, with how many of that size fit."""
    cells = sum(1 + len(site.cards) for site in sites) + len(pods)
    choices = [chosen for size in range(1, 5) for chosen in combinations(range(4), size)]
    candidates = sorted({_only(each, chosen) for each in unplaced for chosen in choices})
    for least in candidates[:: 1 + len(candidates) * cells // _STEPS]:
        if sum(number for each, number in pods.items() if _at_least(each, least)) > _hold(least, sites):
            yield _Witness("pigeonhole", least)
    for dimension in range(4):
        sizes = sorted(((each[dimension], number) for each, number in pods.items() if each[dimension]), reverse=True)
        counts = list(accumulate(number for _, number in sizes))
        for at in range(0, len(sizes), 1 + len(sizes) * cells // _STEPS):
            least = _only((sizes[at][0],) * 4, (dimension,))
            if counts[at] > _hold(least, sites):
                yield _Witness("pigeonhole", least)


def _only(each: _Vector, chosen: Sequence[int]) -> _Vector:
    cpu, memory, gpu, shares = (amount if at in chosen else 0 for at, amount in enumerate(each))
    return (cpu, memory, gpu, shares)


def _hold(each: _Vector, sites: Sequence[_Site]) -> int:
    return sum(site.nodes * _most(each, site) for site in sites)


def _fillings(pods: Counter[_Vector], sites: Sequence[_Site]) -> Iterator[_Witness]:
    """Compare the GPU memory of the largest pods with the most of each card that sums of their sizes can fill.

    Yields nothing if a card exceeds _MOST_SUMS.
    """
    cards: Counter[int] = Counter()
    for site in sites:
        for memory, _ in site.cards:
            cards[memory] += site.nodes
    if max(cards, default=0) > _MOST_SUMS:
        return
    sizes: Counter[int] = Counter()
    for each, number in pods.items():
        sizes[each[_GPU]] += number
    del sizes[0]
    step = 1 + len(sizes) * len(cards) * 10 // _STEPS
    # Bit s is set if some of the pods so far need s MiB together.
    sums, need, found = 1, 0, None
    limit = (1 << max(cards, default=0) + 1) - 1
    for turn, size in enumerate(sorted(sizes, reverse=True), 1):
        sums = _with_pods(sums, size, sizes[size], limit)
        need += size * sizes[size]
        if turn % step == 0 or turn == len(sizes):
            fill = sum(number * (_highest(sums, memory)) for memory, number in cards.items())
            found = size if need > fill else found
    if found:
        yield _Witness("pigeonhole", _least(gpu_memory=found))


def _with_pods(sums: int, size: int, pods: int, limit: int) -> int:
    """Return the sums that further pods of one size make possible; adds 1, 2, 4, ... pods at a time."""
    together = 1
    while pods > 0 and size * together < limit.bit_length():
        taken = min(together, pods)
        sums |= sums << size * taken & limit
        pods -= taken
        together *= 2
    return sums


def _highest(sums: int, memory: int) -> int:
    return (sums & (1 << memory + 1) - 1).bit_length() - 1
