"""Query plans of searches: the intended index is used, even without statistics."""

import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from algoplatform.domain.search import check_conditions
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.schema.tables import image
from algoplatform.storage.search.filter_indexes import COLUMNS, FILTERS, Lead, leads_of
from algoplatform.storage.search.statements import ImageSearch
from algoplatform.storage.search.where_clause import Filter
from tests.support.postgres import execute

VALUES = {
    "eventType": 3001,
    "incidentId": "7",
    "factory": "易华录",
    "namespace": "algo",
    "algoType": "1",
    "useableFlag": "0",
}
ONE: list[dict[str, Any]] = [{name: value} for name, value in VALUES.items()]
PAIRS = [{**first, **second} for first in ONE for second in ONE if first != second]
LONG: dict[str, Any] = {"factory": "长" * 300}
TEXT: dict[str, Any] = {"searchCondition": "安全帽检测"}

FILL = """
    INSERT INTO image (image_id, image_name, image_tag, namespace, factory, algo_type, event_type, incident_id, useable_flag, search, record)
    SELECT id, name, tag, 'ns' || n %% 5, factory, (n %% 3)::text, n %% 7, nullif((n %% 4)::text, '3'),
           nullif((n %% 3)::text, '2'), name || ':' || tag || E'\\n' || (ARRAY['实时', '离线', 'x'])[n %% 3 + 1] || repeat('z', n %% 11 * 300),
           '{"imageId":"' || replace(id::text, '-', '') || '","imageName":"' || name || '","imageTag":"' || tag || '","n":' || n || '}'
    FROM (SELECT n, gen_random_uuid() AS id, 'ns' || n %% 5 || '/i' || n * 7919 %% 10007 AS name, (n %% 2)::text AS tag,
                 CASE n %% 6 WHEN 0 THEN '厂商' || repeat('长', 300) WHEN 1 THEN '厂商' || repeat('长', 299) || '短'
                 ELSE '厂商' || n %% 6 END AS factory
          FROM generate_series(1, %d) AS n) AS made
"""


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    """A connection as the service opens it."""
    async with database.connection() as opened:
        yield opened


async def plan(connection: Connection, sql: str, arguments: list[Any]) -> list[dict[str, Any]]:
    """Return all nodes of a statement's generic plan."""
    types = ", ".join(f"NULL::{kind.name}" for kind in (await connection.prepare(sql)).get_parameters())
    await connection.execute(f"PREPARE asked AS {sql}")
    try:
        text = await connection.fetchval(
            f"EXPLAIN (FORMAT json, COSTS off) EXECUTE asked {f'({types})' if types else ''}"
        )
    finally:
        await connection.execute("DEALLOCATE asked")
    return list(_nodes(json.loads(text)[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(inner for child in node.get("Plans", ()) for inner in _nodes(child))]


def on_image(nodes: list[dict[str, Any]]) -> set[tuple[str, str | None]]:
    """Return how the images are read: node types and indexes."""
    return {
        (node["Node Type"], node.get("Index Name"))
        for node in nodes
        if node.get("Relation Name") == "image" or "Index Name" in node
    }


def index_of(lead: Lead) -> str | None:
    """Return the name of the index with this leading expression and predicate."""
    [name] = [
        index.name
        for index in image.indexes
        if str(index.expressions[0]) == lead.expression
        and str(index.dialect_options["postgresql"]["where"]) == lead.where
    ]
    return name


@pytest.mark.parametrize(
    "before",
    [(), ("VACUUM ANALYZE image",), (FILL % 2, "VACUUM ANALYZE image"), (FILL % 2000, "ANALYZE image")],
    ids=["never analysed", "empty", "small", "analysed"],
)
async def test_a_filter_is_an_index(connection: Connection, before: Sequence[str]) -> None:
    """A page for one or two filters is read in order from the index of one of them, however many images there are."""
    for statement in before:
        await connection.execute(statement)
    for conditions in (*ONE, *PAIRS, LONG, {**LONG, **TEXT}, *({**one, **TEXT} for one in (*ONE, *PAIRS))):
        asked = check_conditions(conditions)
        backward = check_conditions({**conditions, "before": "algo/a:1", "pageSize": 50})
        for lead in leads_of(asked):
            name = index_of(lead)
            for way in (Filter(asked, (), lead), Filter(backward, (), lead)):
                read = on_image(await plan(connection, way.rows("record", 50), way.arguments))
                assert read == {("Index Scan", name)}, conditions
            few = f"SELECT {lead.few('$1', 500)}"
            assert {index for _, index in on_image(await plan(connection, few, [lead.value]))} == {name}, conditions


@pytest.mark.parametrize(
    ("conditions", "grams", "indexes"),
    [
        ({}, (), {"image_reference_key"}),
        ({"pageSize": 50, "after": "algo/a:1"}, (), {"image_reference_key"}),
        (TEXT, (), {"image_reference_key"}),
        (TEXT, ("安全帽检",), {"image_grams_idx"}),
        ({**TEXT, "factory": "易华录"}, ("安全帽检",), {"image_grams_idx"}),
        ({"imageId": "a" * 32}, (), {"image_pkey", "image_live_key"}),
    ],
)
async def test_other_ways(
    connection: Connection, conditions: dict[str, Any], grams: list[str], indexes: set[str]
) -> None:
    """Searches without such a filter use another index, and never a sequential scan."""
    asked = check_conditions(conditions)
    way = Filter(asked, grams)
    read = on_image(await plan(connection, way.rows("record", 50), way.arguments))
    assert {index for _, index in read if index} <= indexes
    assert "Seq Scan" not in {kind for kind, _ in read}


async def test_every_way_finds_the_same(connection: Connection, database: Database) -> None:
    """Every search returns the images and the total of a plain scan of the table."""
    await connection.execute(FILL % 1500)
    chance = random.Random(5)
    rows = await connection.fetch(f"SELECT {', '.join(FILTERS)} FROM image")
    names = dict(
        zip(FILTERS, ("eventType", "incidentId", "factory", "namespace", "algoType", "useableFlag"), strict=True)
    )
    for analysed in (False, True):
        if analysed:
            await connection.execute("VACUUM ANALYZE image")
        search = ImageSearch()
        for _ in range(150):
            columns = chance.sample(FILTERS, chance.randint(0, 3))
            picked = {column: chance.choice(rows)[column] for column in columns}
            conditions = {names[column]: value for column, value in picked.items() if value is not None}
            if text := chance.choice([None, "实时", "x", "ns1", "zzzz", "i7", "nowhere", "厂商"]):
                conditions["searchCondition"] = text
            await _compare(connection, search, conditions, text)


async def _compare(connection: Connection, search: ImageSearch, conditions: dict[str, Any], text: str | None) -> None:
    asked = check_conditions({**conditions, "page": 2, "pageSize": 7})
    plain = {
        "event_type": asked.event_type,
        "incident_id": asked.incident_id,
        "factory": asked.factory,
        "namespace": asked.namespace,
        "algo_type": asked.algo_type,
        "useable_flag": asked.useable_flag,
    }
    given = [(column, value) for column, value in plain.items() if value is not None]
    where = [f"{column} = ${number}" for number, (column, _) in enumerate(given, 2)]
    expected = [
        row[0]
        for row in await connection.fetch(
            f"SELECT convert_to(record, 'UTF8') FROM image WHERE ($1 = '' OR strpos(search, $1) > 0)"
            f"{''.join(f' AND {piece}' for piece in where)} ORDER BY image_name, image_tag",
            text or "",
            *(value for _, value in given),
        )
    ]
    page = await search.page(connection, asked)
    assert (page.records, page.total) == (expected[7:14], len(expected)), conditions
    found = await search.records(connection, check_conditions(conditions), 1001)
    assert found.records == expected[:1001], conditions
    passed: list[bytes] = []

    async def write(data: bytes) -> None:
        passed.append(data)

    await search.copy(connection, check_conditions(conditions), write)
    assert b"".join(passed).replace(b"\n", b"") == b",".join(expected), conditions


async def test_values_that_begin_alike(database_url: str, database: Database) -> None:
    """Values that share the prefix held in the index are told apart."""
    execute(database_url, FILL % 600)
    search = ImageSearch()
    async with database.connection() as connection:
        for factory, count in (("厂商" + "长" * 300, 100), ("厂商" + "长" * 299 + "短", 100), ("厂商" + "长" * 299, 0)):
            found = await search.page(connection, check_conditions({"factory": factory, "page": 1, "pageSize": 1}))
            assert found.total == count


def test_every_filter_has_a_lead() -> None:
    """Every single filter has an index."""
    for conditions in ONE:
        [lead] = leads_of(check_conditions(conditions))
        assert lead.column in COLUMNS or {"algoType", "useableFlag"} & set(conditions)


async def test_a_kind_that_comes_last_in_its_namespace(connection: Connection) -> None:
    """A page reads only matching images, even if many others of the namespace sort before them."""
    # Long names make for long index entries.
    long_names = FILL.replace("'ns' || n %% 5 || '/i'", "'ns0/' || repeat('x', 150)").replace("'ns' || n %% 5", "'ns0'")
    flags = "(name < 'ns0/' || repeat('x', 150) || '9')::int::text"
    await connection.execute(long_names.replace("nullif((n %% 3)::text, '2')", flags) % 2_000)
    await connection.execute("VACUUM ANALYZE image")
    asked = check_conditions({"namespace": "ns0", "useableFlag": "0"})
    [lead] = leads_of(asked)
    way = Filter(asked, (), lead)
    explained = await connection.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {way.rows('record', 10)}", *way.arguments
    )
    read = json.loads(explained)[0]["Plan"]
    assert read["Actual Rows"] == 10
    # At most ten images of each algoType, plus some pages of the index.
    assert read["Shared Hit Blocks"] + read["Shared Read Blocks"] < 60
