"""Rules across records: node ports, paths of the node, dependencies."""

import random
from typing import Any

import pytest

from algoplatform.planning.lint.closures import Dependents, components
from algoplatform.planning.lint.findings import Finding
from tests.support.linting import found_in, record, run


def of(rule: str, *records: dict[str, Any]) -> list[Finding]:
    """Return the findings of one rule."""
    return run(records, rule=rule)[0]


def needing(name: str, *needs: str, **fields: Any) -> dict[str, Any]:
    """Return a record `h:1/n/<name>:1.0` with the given dependencies."""
    listed = ",".join(f"h:1/n/{need}:1.0" for need in needs) or None
    return record(f"h:1/n/{name}", dependencyServiceId=listed, **fields)


def chain(length: int) -> list[dict[str, Any]]:
    """Return images that each depend on the one before."""
    return [needing(f"c{number}", *([f"c{number - 1}"] if number else [])) for number in range(length)]


@pytest.mark.parametrize(
    ("names", "severity"),
    [
        (["h:1/east/a", "h:1/west/b"], "info"),
        (["h:1/east/a", "h:1/east/b"], "warning"),
        (["a", "b"], "warning"),
        (["a", "default/b"], "warning"),
        (["east/a", "h.local/west/b", "h:1/east/c"], "warning"),
    ],
)
def test_clash_by_namespace(names: list[str], severity: str) -> None:
    """Images without a common closure clash by namespace: one finding for a port, however many images use it."""
    [found] = of("node-port-clash", *(record(name, imagePorts="p:80:30001") for name in names))
    assert (found.severity, found.images, found.flaw.value) == (severity, [f"{name}:1.0" for name in names], 30001)
    assert found.as_dict()["image"] == f"{names[0]}:1.0"


def test_clash_in_one_closure() -> None:
    """Images of one closure must not share a node port, whether a third image depends on both or one on the other."""
    port = {"imagePorts": "p:80:30001"}
    apart = [record("h:1/x/a", **port), record("h:1/y/b", **port)]
    assert of("node-port-clash", *apart)[0].severity == "info"
    common = record("h:1/z/top", dependencyServiceId="h:1/z/mid:1.0,h:1/y/b:1.0")
    middle = record("h:1/z/mid", dependencyServiceId="h:1/x/a:1.0")
    assert of("node-port-clash", *apart, common, middle)[0].severity == "error"
    direct = record("h:1/x/a", dependencyServiceId="h:1/y/b:1.0", **port)
    assert of("node-port-clash", direct, apart[1])[0].severity == "error"


def test_one_image_is_no_clash() -> None:
    """A single image never clashes with itself, even if it is reached on two paths."""
    diamond = [
        needing("base", imagePorts="p:80:30001"),
        needing("left", "base"),
        needing("right", "base"),
        needing("top", "left", "right"),
    ]
    assert not of("node-port-clash", *diamond)


def test_ports_exhausted() -> None:
    """The rule counts pairs of image and node port, and compares them with the size of the range."""
    full = [record(f"h:1/a/x{number}", imagePorts=f"p:80:{30000 + number % 2768}") for number in range(2768)]
    assert not of("node-ports-exhausted", *full)
    [found] = of("node-ports-exhausted", *full, record("h:1/a/last", imagePorts="p:80:30000,q:81:30001"))
    assert (found.flaw.value, len(found.images)) == (2770, 2769)


def test_host_path_conflict() -> None:
    """Images that mount the same path of the node conflict, however they write it; one image alone does not."""
    users = [record(f"h:1/a/x{number}", hostPath="/data//one/:/a,/data/./one:/b") for number in range(3)]
    [found] = of("hostpath-conflict", *users, record("h:1/a/y", hostPath="/data/one1:/a"))
    assert (found.flaw.value, found.severity) == ("/data/one", "warning")
    assert found.images == [f"h:1/a/x{number}:1.0" for number in range(3)]
    assert not of("hostpath-conflict", users[0], record("h:1/a/y", subPath="/data/one:/a"))


def test_dependency_gone() -> None:
    """Each missing dependency is a finding of the image that lists it; a self-dependency is none."""
    found = found_in(needing("a", "a", "b", "gone", "lost"), needing("b"))
    assert found == [("dependency-gone", "h:1/n/gone:1.0"), ("dependency-gone", "h:1/n/lost:1.0")]


def test_cycles() -> None:
    """A cycle is one finding that lists its members; a self-dependency is none."""
    three = [needing("a", "b"), needing("b", "c"), needing("c", "a")]
    [found] = of("dependency-cycle", *three, needing("own", "own"), needing("above", "a"))
    assert found.images == ["h:1/n/a:1.0", "h:1/n/b:1.0", "h:1/n/c:1.0"]


def test_depth() -> None:
    """More than 8 levels or more than 50 images are a finding; exactly 8 or 50 are none."""
    assert not of("dependency-depth", *chain(9))
    [found] = of("dependency-depth", *chain(10))
    assert (found.images, found.flaw.value) == (["h:1/n/c9:1.0"], 9)
    leaves = [needing(f"leaf{number}") for number in range(51)]
    names = [f"leaf{number}" for number in range(51)]
    assert not of("dependency-depth", *leaves, needing("top", *names[:50]))
    halves = [needing("low", *names[:30]), needing("high", *names[20:50])]
    assert not of("dependency-depth", *leaves, *halves)
    [found] = of("dependency-depth", *leaves, *halves, needing("top", "low", "high"))
    assert found.images == ["h:1/n/top:1.0"]


def test_order_of_records_does_not_matter() -> None:
    """Findings do not depend on whether images come before or after their dependencies."""
    records = [*chain(12), needing("x", "c3", "c11"), needing("y", "x", "z"), needing("z", "y")]
    once = {(found.flaw.rule, *found.images) for found in run(records)[0]}
    again = {(found.flaw.rule, *found.images) for found in run(records[::-1])[0]}
    assert once == again != set()


@pytest.mark.parametrize("seed", range(60))
def test_against_plain_search(seed: int) -> None:
    """For random graphs, cycles, levels and closures equal those of a plain search from each image."""
    chance = random.Random(seed)
    count = chance.randrange(2, 70)
    most = chance.choice([1, 2, 4])
    needs = [
        tuple({other for other in chance.choices(range(count), k=chance.randrange(most + 1)) if other != node})
        for node in range(count)
    ]
    closures = [_closure(needs, node) for node in range(count)]
    found = {tuple(sorted(item.members)): item for item in components(needs) if item}
    for node in range(count):
        members = tuple(sorted({other for other in closures[node] if node in closures[other]} | {node}))
        level = _level(closures, node)
        many = len(closures[node] - {node}) > 50
        noteworthy = len(members) > 1 or many or level > 8
        assert (members in found) == noteworthy
        if noteworthy:
            assert (found[members].level, found[members].many) == (level, many)
    pair = chance.sample(range(count), 2)
    together = any(set(pair) <= closures[node] | {node} for node in range(count))
    assert _result(Dependents(needs).share_closure(pair)) == together


def _closure(needs: list[tuple[int, ...]], node: int) -> set[int]:
    seen: set[int] = set()
    ahead = [*needs[node]]
    while ahead:
        need = ahead.pop()
        if need not in seen:
            seen.add(need)
            ahead += needs[need]
    return seen


def _level(closures: list[set[int]], node: int, known: dict[int, int] | None = None) -> int:
    known = {} if known is None else known
    if node not in known:
        below = [other for other in closures[node] if node not in closures[other]]
        known[node] = 1 + max((_level(closures, other, known) for other in below), default=-1)
    return known[node]


def _result(steps: Any) -> bool:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return bool(end.value)
