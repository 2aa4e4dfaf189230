"""Graphs for tests: from given edges, or of typical shapes."""

from collections.abc import Iterable
from random import Random

from algoplatform.planning.graph.model import Graph


def graph_of(edges: Iterable[tuple[str, str]], root: str = "", *, names: Iterable[str] = ()) -> Graph:
    """Return a graph of names, from dependents to dependencies."""
    pairs = list(edges)
    known = list(dict.fromkeys([*names, *(name for pair in pairs for name in pair)]))
    at = {name: position for position, name in enumerate(known)}
    ids = [f"{position:032x}" for position in range(len(known))]
    root_at = at[root] if root else 0
    return Graph(root_at, ids, known, [(at[source], at[target]) for source, target in pairs], total=len(known))


def ladder(rungs: int) -> list[tuple[str, str]]:
    """Return a ladder: both images of a rung need both images of the next, so there are 2 ** `rungs` paths."""
    return [
        (f"algo/{one}{rung}:1.0", f"algo/{other}{rung + 1}:1.0")
        for rung in range(rungs)
        for one in "ab"
        for other in "ab"
    ]


def random_graph(size: int, seed: int) -> Graph:
    """Return a connected graph with a cycle of three images and a self-dependency."""
    random = Random(seed)
    names = [f"algo/image{at}:{at % 7}.0" for at in range(size)]
    edges = {(names[int(random.random() ** 1.6 * at)], names[at]) for at in range(1, size) for _ in range(1 + at % 3)}
    edges |= {(names[-3], names[-2]), (names[-2], names[-1]), (names[-1], names[-3]), (names[size // 2],) * 2}
    return graph_of(sorted(edges), names[0], names=names)
