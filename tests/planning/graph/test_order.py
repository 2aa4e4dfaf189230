"""Levels, cycles and the order of removal."""

import sys
import time
from collections.abc import Iterable
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoplatform.planning.graph.model import Graph
from algoplatform.planning.graph.removal import removal_order
from tests.support.graphs import graph_of, ladder

LONG = 20_000
NODES = st.integers(0, 7)
EDGES = st.sets(st.tuples(NODES, NODES), max_size=30)


def named(edges: Iterable[tuple[int, int]]) -> Graph:
    """Return a graph of eight images that are named by letters."""
    return graph_of([("abcdefgh"[source], "abcdefgh"[target]) for source, target in edges], names="abcdefgh")


def levels_of(graph: Graph) -> dict[str, int]:
    """Return the level of each reference."""
    return dict(zip(graph.references, graph.levels, strict=True))


def followed(graph: Graph, order: list[Any]) -> list[str]:
    """Remove all images in the given order; fail if a dependent is still left."""
    left = {(graph.references[source], graph.references[target]) for source, target in graph.edges if source != target}
    removed: list[str] = []
    for step in order:
        if isinstance(step, dict):
            assert tuple(step["cut"]) in left, step
            left.remove(tuple(step["cut"]))
        for name in step["cycle"] if isinstance(step, dict) else [step]:
            assert not [edge for edge in left if edge[1] == name], (name, order)
            left = {edge for edge in left if edge[0] != name}
            removed.append(name)
    return removed


def test_a_diamond() -> None:
    """Each image occurs once, at the level of its longest path."""
    graph = graph_of([("top", "left"), ("top", "right"), ("left", "base"), ("right", "base"), ("top", "base")])
    assert levels_of(graph) == {"top": 2, "left": 1, "right": 1, "base": 0}
    assert graph.cycles == []
    assert removal_order(graph) == ["top", "left", "right", "base"]


def test_a_ladder() -> None:
    """Levels are right even if the graph has too many paths to follow each."""
    graph = graph_of(ladder(100))
    assert len(graph.references) == 202
    assert levels_of(graph)["algo/a0:1.0"] == 100
    assert levels_of(graph)["algo/b100:1.0"] == 0
    assert followed(graph, removal_order(graph))[-2:] == ["algo/a100:1.0", "algo/b100:1.0"]


def test_a_cycle_shares_a_level() -> None:
    """The members of a cycle share one level, between their dependencies and their dependents."""
    graph = graph_of([("user", "b"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "base")])
    assert levels_of(graph) == {"user": 2, "a": 1, "b": 1, "c": 1, "base": 0}
    assert [[graph.references[at] for at in ring] for ring in graph.cycles] == [["a", "b", "c"]]
    [user, ring, base] = removal_order(graph)
    assert (user, base) == ("user", "base")
    assert sorted(ring["cycle"]) == ["a", "b", "c"]
    assert followed(graph, [user, ring, base])


def test_an_image_that_needs_itself() -> None:
    """A self-dependency is an edge, but neither forms a cycle nor raises the level."""
    graph = graph_of([("a", "a"), ("a", "b")])
    assert graph.cycles == []
    assert levels_of(graph) == {"a": 1, "b": 0}
    assert len(graph.document()["edges"]) == 2
    assert removal_order(graph) == ["a", "b"]


def test_one_cut_frees_all_where_one_does() -> None:
    """If cutting a single dependency of a component removes all its cycles, that one is cut."""
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("b", "d"), ("a", "c")]
    [step] = removal_order(graph_of(edges))
    assert step["cut"] == ["d", "a"]
    assert step["cycle"] == ["a", "b", "c", "d"]


def test_where_one_cut_is_not_enough() -> None:
    """If every image needs all others, the steps name every dependency to cut, and remove each image once."""
    graph = graph_of(list(permutations("abcd", 2)))
    order = removal_order(graph)
    assert len(order) == 6
    assert followed(graph, order) == ["a", "b", "c", "d"]


@given(EDGES)
def test_every_order_can_be_followed(edges: set[tuple[int, int]]) -> None:
    """For any graph the order removes each image once, after its dependents; equal graphs have equal orders."""
    graph = named(sorted(edges))
    order = removal_order(graph)
    assert sorted(followed(graph, order)) == list("abcdefgh")
    assert removal_order(named(sorted(edges, reverse=True))) == order


@given(EDGES)
def test_levels_are_longest_paths(edges: set[tuple[int, int]]) -> None:
    """Members of a cycle reach each other; all other images are one level above their highest dependency."""
    graph = named(sorted(edges))
    reach = {(source, target) for source, target in graph.edges} | {(at, at) for at in range(8)}
    for middle in range(8):
        reach |= {(a, b) for a in range(8) for b in range(8) if {(a, middle), (middle, b)} <= reach}
    together = [{b for b in range(8) if {(a, b), (b, a)} <= reach} for a in range(8)]
    assert {frozenset(ring) for ring in graph.cycles} == {frozenset(ring) for ring in together if len(ring) > 1}
    for at in range(8):
        outside = [graph.levels[b] for a in together[at] for b in graph.needs[a] if b not in together[at]]
        assert graph.levels[at] == max(outside, default=-1) + 1


@pytest.mark.parametrize("back", [False, True])
def test_long_chains_need_no_stack(back: bool) -> None:
    """A chain or ring longer than Python's recursion limit is processed without recursion, within 20 s of CPU time."""
    names = [f"algo/{at:05}:1.0" for at in range(LONG)]
    assert sys.getrecursionlimit() < LONG
    graph = graph_of([*pairwise(names), *([(names[-1], names[0])] if back else [])])
    began = time.process_time()
    assert max(graph.levels) == (0 if back else LONG - 1)
    order = removal_order(graph)
    assert len(order) == (1 if back else LONG)
    assert len(graph.document()["nodes"]) == LONG
    assert time.process_time() - began < 20


def test_a_chain_in_both_directions() -> None:
    """Even the worst cycle, in which each cut frees a single image, takes less than 20 s of CPU time."""
    names = [f"algo/{at:05}:1.0" for at in range(3_000)]
    pairs = list(pairwise(names))
    graph = graph_of([*pairs, *((target, source) for source, target in pairs)])
    began = time.process_time()
    order = removal_order(graph)
    assert sum(len(step["cycle"]) for step in order) == 3_000
    assert time.process_time() - began < 20
