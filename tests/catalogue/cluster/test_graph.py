"""Dependencies, impact and closures of registered images."""

import json
from collections.abc import AsyncIterator, Mapping
from random import Random
from typing import Any

import asyncpg
import pytest

from algoplatform.catalogue.cluster.graph import drawing
from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import AlgoplatformError, ImageInUse, ImageNotFound, Refused
from algoplatform.domain.faults import Code
from algoplatform.planning.graph.model import Graph
from algoplatform.runtime import Runtime
from tests.support.counting import counting
from tests.support.graphs import ladder
from tests.support.images import deletion, minimal
from tests.support.service import settings_for

Needs = Mapping[str, list[str]]

# The dependents as the contract defines them, computed by SQL alone.
RECURSION = """
WITH RECURSIVE up(id) AS (
    SELECT image_id FROM image WHERE image_name || ':' || image_tag = $1 AND live
    UNION SELECT dependent_id FROM up JOIN image_dependency ON dependency_id = up.id
)
SELECT image_name || ':' || image_tag FROM up JOIN image ON image_id = up.id WHERE image_name || ':' || image_tag <> $1
"""
UNKNOWN = "f" * 32


@pytest.fixture
async def runtime(database_url: str) -> AsyncIterator[Runtime]:
    """The use cases on the test's database."""
    async with Runtime.open(settings_for(database_url)) as opened:
        yield opened


async def filled(runtime: Runtime, needs: Needs, **fields: Any) -> dict[str, str]:
    """Register images, then their dependencies, which may form cycles; return their ids."""
    ids = {}
    for reference in needs:
        name, _, tag = reference.rpartition(":")
        ids[reference], _ = await runtime.images.register(TRUSTED, minimal(name, tag, **fields))
    for reference, others in needs.items():
        if others:
            await rewired(runtime, ids[reference], reference, others)
    return ids


async def rewired(runtime: Runtime, image_id: str, reference: str, others: list[str]) -> None:
    """Update the dependencies of an image."""
    name, _, tag = reference.rpartition(":")
    body = minimal(name, tag, imageId=image_id, dependencyServiceId=",".join(others) or None)
    await runtime.images.update(TRUSTED, body, None)


async def removed(runtime: Runtime, image_id: str) -> None:
    """Delete an image."""
    await runtime.images.delete(TRUSTED, deletion(image_id), None)


def of_edges(edges: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the dependencies of each image."""
    needs: dict[str, list[str]] = {name: [] for pair in edges for name in pair}
    for source, target in edges:
        needs[source].append(target)
    return needs


def levels(graph: Graph) -> dict[str, int]:
    """Return the level of each image in the answer."""
    return {node["reference"]: node["level"] for node in graph.document()["nodes"]}


def edges(graph: Graph) -> set[tuple[str, str]]:
    """Return the edges of the answer by reference."""
    document = graph.document()
    name = {node["imageId"]: node["reference"] for node in document["nodes"]}
    return {(name[source], name[target]) for source, target in document["edges"]}


async def faults_of(runtime: Runtime, image: str, query: Mapping[str, Any]) -> list[str]:
    """Return the fields of a refusal, all of which have status 202."""
    with pytest.raises(Refused) as refused:
        await runtime.graphs.dependencies(image, query)
    assert {fault.code for fault in refused.value.faults} == {Code.FIELD}
    return [fault.field for fault in refused.value.faults]


DIAMOND: Needs = {
    "algo/base:1.0": [],
    "algo/left:1.0": ["algo/base:1.0"],
    "algo/right:1.0": ["algo/base:1.0"],
    "algo/top:1.0": ["algo/left:1.0", "algo/right:1.0"],
    "algo/other:1.0": [],
}


async def test_a_diamond_in_each_direction(runtime: Runtime) -> None:
    """Each image occurs once, the requested one included; edges point from dependents to dependencies."""
    ids = await filled(runtime, DIAMOND)
    down = await runtime.graphs.dependencies(ids["algo/top:1.0"], {})
    assert levels(down) == {"algo/base:1.0": 0, "algo/left:1.0": 1, "algo/right:1.0": 1, "algo/top:1.0": 2}
    assert edges(down) == {(name, other) for name, others in DIAMOND.items() for other in others}
    assert down.document()["cycles"] == []
    assert (down.truncated, down.total) == (False, 4)
    up = await runtime.graphs.dependencies("algo/left:1.0", {"direction": "up"})
    assert levels(up) == {"algo/left:1.0": 0, "algo/top:1.0": 1}
    assert edges(up) == {("algo/top:1.0", "algo/left:1.0")}
    both = await runtime.graphs.dependencies("algo/left:1.0", {"direction": "both", "depth": "", "limit": "1000"})
    assert levels(both) == {"algo/base:1.0": 0, "algo/left:1.0": 1, "algo/top:1.0": 2}
    assert json.loads(json.dumps(both.document())) == both.document()


async def test_a_ladder_of_a_hundred(runtime: Runtime) -> None:
    """A graph of two hundred images has two to the power of a hundred paths, and is still read at once."""
    await filled(runtime, of_edges(ladder(100)))
    found = await runtime.graphs.dependencies("algo/a0:1.0", {})
    assert len(levels(found)) == 201
    assert len(edges(found)) == 398
    assert all(level == 100 - int(name.split(":")[0][6:]) for name, level in levels(found).items())
    impact = await runtime.graphs.impact("algo/b100:1.0", {"action": "delete"})
    assert len(impact["transitive"]) == 200
    assert impact["direct"] == ["algo/a99:1.0", "algo/b99:1.0"]


async def test_a_cycle_of_three_and_an_image_that_needs_itself(runtime: Runtime) -> None:
    """A cycle is listed and shares a level; a self-dependency is an edge, but no cycle."""
    needs = {"a:1": ["b:1"], "b:1": ["c:1", "b:1"], "c:1": ["a:1", "d:1"], "d:1": ["d:1"], "e:1": ["a:1"]}
    ids = await filled(runtime, needs)
    for direction, shown in (("down", set("abcd")), ("up", set("abce")), ("both", set("abcde"))):
        found = await runtime.graphs.dependencies("b:1", {"direction": direction})
        assert {name[0] for name in levels(found)} == shown
        assert found.document()["cycles"] == [[ids[name] for name in ("a:1", "b:1", "c:1")]]
        assert len({levels(found)[name] for name in ("a:1", "b:1", "c:1")}) == 1
        assert ("b:1", "b:1") in edges(found)
        assert (("d:1", "d:1") in edges(found)) == ("d" in shown)
    impact = await runtime.graphs.impact("b:1", {"action": "delete"})
    assert (impact["direct"], impact["transitive"]) == (["a:1"], ["a:1", "c:1", "e:1"])
    assert impact["order"][0] == "e:1"
    assert sorted(impact["order"][1]["cycle"]) == ["a:1", "b:1", "c:1"]


async def test_a_deeper_name_is_not_itself(runtime: Runtime) -> None:
    """A dependency whose name ends in the image's own name is not taken for a self-dependency."""
    await filled(runtime, {"x/algo/a:1.0": [], "algo/a:1.0": ["x/algo/a:1.0"]})
    found = await runtime.graphs.dependencies("algo/a:1.0", {})
    assert edges(found) == {("algo/a:1.0", "x/algo/a:1.0")}


CHAIN = [(f"algo/c{at}:1.0", f"algo/c{at + 1}:1.0") for at in range(12)]


@pytest.mark.parametrize("direction", ["down", "up", "both"])
@pytest.mark.parametrize("depth", [0, 1, 3, 6, 7, 100])
async def test_depth_counts_edges(runtime: Runtime, direction: str, depth: int) -> None:
    """The graph ends at the given distance, is marked as truncated, and has the total of all images."""
    await filled(runtime, of_edges(CHAIN))
    found = await runtime.graphs.dependencies("algo/c6:1.0", {"direction": direction, "depth": str(depth)})
    below = min(depth, 6) if direction != "up" else 0
    above = min(depth, 6) if direction != "down" else 0
    assert sorted(levels(found).values()) == list(range(1 + below + above))
    assert levels(found)["algo/c6:1.0"] == below
    assert (found.truncated, found.total) == (depth < 6, 13 if direction == "both" else 7)


@pytest.mark.parametrize("depth", [None, 900])
async def test_limit(runtime: Runtime, depth: int | None) -> None:
    """The nearest images are returned with all edges between them; the total counts up to a thousand images."""
    await filled(runtime, of_edges([*CHAIN, ("algo/c0:1.0", "algo/c2:1.0")]))
    query = {"limit": 4} | ({"depth": depth} if depth else {})
    found = await runtime.graphs.dependencies("algo/c0:1.0", query)
    assert set(levels(found)) == {f"algo/c{at}:1.0" for at in range(4)}
    assert len(edges(found)) == 4
    assert (found.truncated, found.total) == (True, 13)
    exact = await runtime.graphs.dependencies("algo/c0:1.0", query | {"limit": 13})
    assert (exact.truncated, exact.total, len(levels(exact))) == (False, 13, 13)
    both = await runtime.graphs.dependencies("algo/c6:1.0", query | {"direction": "both", "limit": 5})
    assert set(levels(both)) == {f"algo/c{at}:1.0" for at in range(4, 9)}


async def test_limit_counts_an_image_of_both_directions_once(runtime: Runtime) -> None:
    """In a cycle an image is both dependency and dependent, but counts once towards the limit."""
    pairs = [("algo/a:1.0", "algo/b:1.0"), ("algo/b:1.0", "algo/a:1.0")]
    await filled(runtime, of_edges(pairs))
    query = {"direction": "both", "depth": 1}
    found = await runtime.graphs.dependencies("algo/a:1.0", query | {"limit": 2})
    assert (len(levels(found)), found.truncated, found.total) == (2, False, 2)
    await filled(runtime, {"algo/c:1.0": ["algo/a:1.0"], "algo/d:1.0": ["algo/c:1.0"]})
    found = await runtime.graphs.dependencies("algo/a:1.0", query | {"limit": 3})
    assert (set(levels(found)), found.truncated) == ({"algo/a:1.0", "algo/b:1.0", "algo/c:1.0"}, True)


async def test_more_than_are_counted(runtime: Runtime, aside: asyncpg.Connection) -> None:
    """Above a thousand images the total is null and the graph is marked as truncated."""
    await filled(runtime, {"algo/base:1.0": []})
    await aside.execute(
        """INSERT INTO image (image_id, image_name, image_tag, factory, algo_type, search, record)
           SELECT id, 'algo/n' || n, '1.0', 'x', '1', 'x', '{"imageId":"' || replace(id::text, '-', '') || '"}'
           FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, 1100) AS n) AS made"""
    )
    await aside.execute(
        """INSERT INTO image_dependency SELECT a.image_id, b.image_id FROM image AS a, image AS b
           WHERE b.image_name = 'algo/base' AND a.image_name <> b.image_name"""
    )
    for query in ({}, {"depth": 1}):
        found = await runtime.graphs.dependencies("algo/base:1.0", {"direction": "up"} | query)
        assert (len(levels(found)), found.truncated, found.total) == (1000, True, None)
    assert len((await runtime.graphs.impact("algo/base:1.0", {"action": "delete"}))["direct"]) == 1100


async def test_wrong_options_all_at_once(runtime: Runtime) -> None:
    """All unknown names and invalid values are refused together, with 202."""
    assert await faults_of(runtime, UNKNOWN, {"direction": "left", "depth": "-1", "limit": 0, "depht": "2"}) == [
        *("direction", "depth", "limit", "depht")
    ]
    assert await faults_of(runtime, UNKNOWN, {"depth": 1.5, "limit": "1001"}) == ["depth", "limit"]
    assert await faults_of(runtime, UNKNOWN, {"direction": ["up"], "depth": True, "limit": "x"}) == [
        *("direction", "depth", "limit")
    ]


@pytest.mark.parametrize("image", [UNKNOWN, "algo/none:1.0", "nonsense", "", "a" * 5000, "\x00"])
async def test_unknown_images(runtime: Runtime, image: str) -> None:
    """An image that is not registered is not found by any operation."""
    for query in ({}, {"depth": "2"}, {"direction": "both"}):
        with pytest.raises(ImageNotFound):
            await runtime.graphs.dependencies(image, query)
    for body in ({"action": "delete"}, {"action": "update", "record": {}}):
        with pytest.raises(ImageNotFound):
            await runtime.graphs.impact(image, body)
    with pytest.raises(ImageNotFound):
        await runtime.graphs.closure([image])


async def test_deleted_images(runtime: Runtime) -> None:
    """A deleted image is unknown by id and by reference."""
    ids = await filled(runtime, {"algo/a:1.0": []})
    await removed(runtime, ids["algo/a:1.0"])
    for image in (ids["algo/a:1.0"], "algo/a:1.0"):
        with pytest.raises(ImageNotFound):
            await runtime.graphs.dependencies(image, {"depth": 1})


def random_needs(size: int, seed: int, *, cyclic: bool) -> dict[str, list[str]]:
    """Return the dependencies of a random registry."""
    random = Random(seed)
    names = [f"algo/r{at}:1.0" for at in range(size)]
    return {
        name: sorted(set(random.sample(names if cyclic else names[:at], min(at, random.randrange(3)))))
        for at, name in enumerate(names)
    }


@pytest.mark.parametrize("cyclic", [False, True])
async def test_impact_equals_a_recursion_in_sql(runtime: Runtime, aside: asyncpg.Connection, cyclic: bool) -> None:
    """For every image of a random registry, impact lists the same dependents as a recursive query."""
    needs = random_needs(60, 7, cyclic=cyclic)
    await filled(runtime, needs)
    for image in needs:
        found = await runtime.graphs.impact(image, {"action": "delete"})
        assert found["transitive"] == sorted(row[0] for row in await aside.fetch(RECURSION, image))
        assert found["direct"] == sorted(name for name, others in needs.items() if image in others and name != image)


@pytest.mark.parametrize("seed", range(3))
async def test_the_order_empties_a_registry(runtime: Runtime, seed: int) -> None:
    """Deleting in the given order, with an update for each cut, is never refused; starting with another image is."""
    needs = random_needs(40, seed, cyclic=True)
    names = list(needs)
    ids = await filled(runtime, needs | {names[0]: []})
    for base in names:
        try:
            impact = await runtime.graphs.impact(base, {"action": "delete"})
        except ImageNotFound:
            continue
        if impact["direct"]:
            with pytest.raises(ImageInUse):
                await removed(runtime, ids[base])
        for step in impact["order"]:
            if isinstance(step, dict):
                source, target = step["cut"]
                needs[source] = [name for name in needs[source] if name != target]
                await rewired(runtime, ids[source], source, [name for name in needs[source] if name in ids])
            for name in step["cycle"] if isinstance(step, dict) else [step]:
                await removed(runtime, ids.pop(name))
    assert not ids
    assert await runtime.count_live() == 0


async def test_replacing_shows_what_hurts(runtime: Runtime) -> None:
    """The replacement is given by id or reference; the result has both dependents and harmful changes."""
    old = {"imagePorts": "http:8080:30080", "tvChannel": 8, "gpuRequests": 1000, "imageMount": "/a", "eventType": 1}
    new = {"imagePorts": "http:8081", "tvChannel": 4, "gpuRequests": 2000, "eventType": 2}
    await filled(runtime, {"algo/x:1.0": []}, **old)
    other = (await filled(runtime, {"algo/x:2.0": []}, **new))["algo/x:2.0"]
    await filled(runtime, {"algo/user:1.0": ["algo/x:1.0"]})
    for by in ("algo/x:2.0", other):
        found = await runtime.graphs.impact("algo/x:1.0", {"action": "replace", "by": by, "channels": 20})
        assert found["direct"] == ["algo/user:1.0"]
        assert [change["field"] for change in found["changes"]] == [
            *("imagePorts", "imageMount", "tvChannel", "gpuRequests", "eventType")
        ]
        assert found["changes"][2]["replicas"] == {"from": 3, "to": 5}
    better = await runtime.graphs.impact("algo/x:1.0", {"action": "replace", "by": "algo/x:1.0"})
    assert better["changes"] == []
    for by in (UNKNOWN, "algo/none:1.0", "nonsense"):
        with pytest.raises(ImageNotFound):
            await runtime.graphs.impact("algo/x:1.0", {"action": "replace", "by": by})


async def test_updating_shows_what_hurts(runtime: Runtime) -> None:
    """Omitted fields keep their values, null and blank clear them; the alias of imagePorts is accepted."""
    await filled(runtime, {"algo/x:1.0": []}, imagePorts="http:8080", tvChannel=8, gpuRequests=1000)

    async def fields(record: dict[str, Any]) -> list[str]:
        found = await runtime.graphs.impact("algo/x:1.0", {"action": "update", "record": record})
        return [change["field"] for change in found["changes"]]

    assert await fields({}) == []
    assert await fields({"tvChannel": 4}) == ["tvChannel"]
    assert await fields({"tvChannel": "4", "imageName": "algo/x", "imageTag": "1.0"}) == ["tvChannel"]
    assert await fields({"imagePorts": None}) == ["imagePorts"]
    assert await fields({"imagePorts": " ", "gpuRequests": 1001}) == ["imagePorts", "gpuRequests"]
    assert await fields({"imageports": "web:80"}) == ["imagePorts"]
    assert await fields({"algoType": "0", "frameInterval": 1, "frameNumber": 1}) == []


@pytest.mark.parametrize(
    ("record", "codes"),
    [
        ({"tvChannel": -1, "gpuRequests": "x"}, [Code.FIELD, Code.FIELD]),
        ({"imageName": "algo/y"}, [Code.IDENTITY_CHANGED]),
        ({"imageId": UNKNOWN}, [Code.IDENTITY_CHANGED]),
        ({"factory": None}, [Code.FIELD]),
        ({"nonsense": 1}, [Code.FIELD]),
        ({"dependencyServiceId": "algo/none:1.0"}, [Code.DEPENDENCY]),
        ({"algoType": "0"}, [Code.FRAME_INTERVAL, Code.FRAME_NUMBER]),
        ({"imagePorts": "a:1:1"}, [Code.IMAGE_PORTS]),
    ],
)
async def test_an_update_that_would_be_refused(runtime: Runtime, record: dict[str, Any], codes: list[Code]) -> None:
    """The faults of a refused update are those of `_update`."""
    await filled(runtime, {"algo/x:1.0": []})
    with pytest.raises(Refused) as refused:
        await runtime.graphs.impact("algo/x:1.0", {"action": "update", "record": record})
    assert [fault.code for fault in refused.value.faults] == codes


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["action"]),
        ({"action": "drop", "channels": 0, "more": 1}, ["action", "channels", "more"]),
        ({"action": "replace"}, ["by"]),
        ({"action": "update"}, ["record"]),
        ({"action": "update", "record": []}, ["record"]),
        ({"action": "delete", "by": "a:1", "record": {}, "channels": 2}, ["by", "record", "channels"]),
        ({"action": "replace", "by": 5, "record": {}}, ["by", "record"]),
    ],
)
async def test_wrong_requests_all_at_once(runtime: Runtime, body: Any, fields: list[str]) -> None:
    """All faults of a request are reported together, with 202."""
    with pytest.raises(Refused) as refused:
        await runtime.graphs.impact(UNKNOWN, body)
    assert [fault.field for fault in refused.value.faults] == fields
    assert {fault.code for fault in refused.value.faults} == {Code.FIELD}


@pytest.mark.parametrize("body", [None, [], "delete", 1])
async def test_no_object(runtime: Runtime, body: Any) -> None:
    """A body that is not a JSON object is refused as a whole."""
    with pytest.raises(AlgoplatformError) as refused:
        await runtime.graphs.impact(UNKNOWN, body)
    assert refused.value.code == Code.BAD_REQUEST


async def test_a_closure_has_records_and_levels(runtime: Runtime) -> None:
    """Ids and references may be mixed; each image occurs once with its version, dependencies first."""
    ids = await filled(runtime, DIAMOND)
    found = await runtime.graphs.closure(["algo/top:1.0", ids["algo/left:1.0"], ids["algo/top:1.0"]])
    assert found.order == [["algo/base:1.0"], ["algo/left:1.0", "algo/right:1.0"], ["algo/top:1.0"]]
    assert found.named == {"algo/top:1.0", "algo/left:1.0"}
    assert [(str(each.image.reference), each.image.image_id, each.level, each.version) for each in found.members] == [
        (name, ids[name], level, 2 if DIAMOND[name] else 1) for level, names in enumerate(found.order) for name in names
    ]
    assert found.cycles == []
    with pytest.raises(ImageNotFound) as unknown:
        await runtime.graphs.closure(["algo/no:1.0", "algo/top:1.0", UNKNOWN])
    assert "algo/no:1.0" in unknown.value.message and UNKNOWN in unknown.value.message
    with pytest.raises(Refused) as refused:
        await runtime.graphs.closure(["algo/top:1.0"], limit=3)
    assert refused.value.code == Code.IMPOSSIBLE


async def test_a_closure_with_a_cycle(runtime: Runtime) -> None:
    """The members of a cycle share a level, between their dependencies and their dependents."""
    await filled(runtime, {"a:1": ["b:1"], "b:1": ["a:1", "c:1"], "c:1": [], "d:1": ["a:1"]})
    found = await runtime.graphs.closure(["d:1"])
    assert found.order == [["c:1"], ["a:1", "b:1"], ["d:1"]]
    assert found.cycles == [["a:1", "b:1"]]


async def test_stored_ports_outlive_a_narrower_range(runtime: Runtime, database_url: str) -> None:
    """A stored record stays readable after the range of node ports was narrowed."""
    await filled(runtime, {"algo/x:1.0": []}, imagePorts="http:8080:32000")
    async with Runtime.open(settings_for(database_url, node_ports="30000-31000")) as narrow:
        assert len((await narrow.graphs.closure(["algo/x:1.0"])).members) == 1
        update = {"action": "update", "record": {"tvChannel": 1}}
        assert (await narrow.graphs.impact("algo/x:1.0", update))["changes"] == []


async def test_too_large_a_drawing_names_depth(runtime: Runtime) -> None:
    """Too many images for a drawing are -422 with the field `depth`, and a smaller depth is accepted."""
    await filled(runtime, of_edges(ladder(80)))
    with pytest.raises(Refused) as refused:
        drawing(await runtime.graphs.dependencies("algo/a0:1.0", {}), str)
    assert refused.value.code == Code.IMPOSSIBLE
    assert refused.value.faults[0].field == "depth"
    assert "depth" in refused.value.message
    assert drawing(await runtime.graphs.dependencies("algo/a0:1.0", {"depth": 3}), str).startswith(b"<svg")


async def test_one_statement(database_url: str) -> None:
    """Without `depth`, dependencies are read by one statement: from one snapshot and in one round trip."""
    async with counting(database_url) as counter, Runtime.open(settings_for(counter.dsn, pool_size=1)) as runtime:
        ids = await filled(runtime, DIAMOND)
        await runtime.graphs.dependencies(ids["algo/top:1.0"], {})
        counter.reset()
        await runtime.graphs.dependencies(ids["algo/left:1.0"], {})
        assert (counter.statements, counter.round_trips) == (1, 1)
        counter.reset()
        await runtime.graphs.dependencies(ids["algo/top:1.0"], {"depth": 2})
        # BEGIN, two levels and the next one, the images, COMMIT.
        assert counter.statements <= 6
