"""Query plans of the service: all lookups use an index, however little PostgreSQL knows of the tables."""

import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import AlgoplatformError
from algoplatform.domain.search import check_conditions
from algoplatform.runtime import Runtime
from algoplatform.storage.search.statements import ImageSearch
from tests.support.images import deletion, minimal
from tests.support.postgres import Postgres, execute
from tests.support.service import settings_for
from tests.support.writes import once

TABLES = {"image", "image_dependency", "image_revision", "idempotency_key"}
# Parts of upload statements, which are planned for the current sizes of their tables.
OF_THIS_UPLOAD = ("staging", "row_number()")
# Stops at the first row.
IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM image)"
CALLER = replace(TRUSTED, request_id="request", subject="someone")

# Statistics and rows that exist before the service makes its plans: none at all, all tables empty, one or two
# rows in each table.
NEVER_ANALYSED: tuple[str, ...] = ()
EMPTY = ("VACUUM ANALYZE",)
SMALL = (
    """INSERT INTO image (image_id, image_name, image_tag, factory, algo_type, search, record)
       SELECT id, 'algo/seed' || n, '1.0', 'ehl', '1', 'seed', '{"imageId":"' || replace(id::text, '-', '') || '"}'
       FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, 2) AS n) AS seed""",
    "INSERT INTO image_dependency SELECT a.image_id, b.image_id FROM image AS a, image AS b WHERE a.image_id < b.image_id",
    "UPDATE image SET version = version + 1",
    "VACUUM ANALYZE",
)

Plan = dict[str, Any]
# Continuation lines in the log are indented.
_PLAN = re.compile(r"plan:\n((?:\t.*\n)+)")


@pytest.fixture(params=["postgres", "oldest_postgres"])
def server(request: pytest.FixtureRequest) -> Postgres:
    """The PostgreSQL of the tests, then the oldest supported."""
    found: Postgres = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=[NEVER_ANALYSED, EMPTY, SMALL], ids=["never-analysed", "empty", "small"])
def dsn(server: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with little in its statistics."""
    with server.database() as address:
        execute(address, *request.param)
        yield address


class _Plans:
    """The plans executed since this object was created, including those in functions and foreign key checks."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._start = log.stat().st_size

    def scans(self) -> Iterator[tuple[str, Plan]]:
        """Yield each node that reads a table or an index, with the text of its statement."""
        with self._log.open("rb") as log:
            log.seek(self._start)
            text = log.read().decode()
        for plan in map(json.loads, _PLAN.findall(text)):
            for node in _nodes(plan["Plan"]):
                if "Scan" in node["Node Type"]:
                    yield plan["Query Text"], node


def _nodes(node: Plan) -> Iterator[Plan]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


@asynccontextmanager
async def explained(dsn: str) -> AsyncIterator[tuple[Runtime, _Plans]]:
    """Open the services on a database whose server logs the plan of every statement."""
    name = dsn.partition("?")[0].rpartition("/")[2]
    told = {"log_min_duration": "0", "log_nested_statements": "on", "log_format": "json"}
    execute(
        dsn,
        f"ALTER DATABASE {name} SET session_preload_libraries = 'auto_explain'",
        *(f"ALTER DATABASE {name} SET auto_explain.{setting} = {value}" for setting, value in told.items()),
    )
    plans = _Plans(Path(parse_qs(urlsplit(dsn).query)["host"][0]).parent / "postgres.log")
    async with Runtime.open(settings_for(dsn, pool_size=1)) as runtime:
        yield runtime, plans


async def write(runtime: Runtime, prefix: str) -> None:
    """Run every kind of write, successful and refused."""

    async def registered(name: str, **fields: Any) -> str:
        image_id, _ = await runtime.images.register(CALLER, minimal(f"algo/{prefix}{name}", **fields))
        return image_id

    base = await registered("base")
    app = await registered("app", dependencyServiceId=f"algo/{prefix}base:1.0")
    for name in ("app", "broken"):
        with pytest.raises(AlgoplatformError):
            await registered(name, dependencyServiceId="algo/none:1.0")
    with pytest.raises(AlgoplatformError):
        await registered("invalid", dependencyServiceId="algo/none:1.0", useableFlag="7")
    body = minimal(f"algo/{prefix}app", imageId=app)
    await runtime.images.update(CALLER, body | {"factory": "二"}, None)
    await runtime.images.update(CALLER, body | {"dependencyServiceId": None}, [2])
    await runtime.revisions.restore(CALLER, app, {"version": 1}, None)
    with pytest.raises(AlgoplatformError):
        await runtime.images.delete(CALLER, deletion(base), None)
    await runtime.images.delete(CALLER, deletion(app), None)
    await runtime.revisions.restore(CALLER, app, {}, None)
    await runtime.images.get(app)
    await runtime.revisions.history(app, 1, 10)
    await upload(runtime, [minimal(f"algo/{prefix}new", dependencyServiceId=f"algo/{prefix}base:1.0")])
    await upload(runtime, [minimal(f"algo/{prefix}{name}", factory="三") for name in ("app", "more")])
    await runtime.images.register(CALLER, minimal(f"algo/{prefix}once"), once(f"{prefix}200"))
    with pytest.raises(AlgoplatformError):
        await runtime.images.register(CALLER, {}, once(f"{prefix}422"))


async def upload(runtime: Runtime, images: list[dict[str, Any]]) -> None:
    """Import a file."""
    await runtime.transfer.load(CALLER, io.BytesIO(json.dumps(images).encode()))


def _grows(text: str, node: Plan) -> bool:
    """Return whether a scan reads more rows the more images there are."""
    if node.get("Relation Name", TABLES) not in TABLES and node["Node Type"] != "Bitmap Index Scan":
        return False
    if node["Node Type"] in ("Bitmap Heap Scan", "Function Scan", "CTE Scan", "Subquery Scan", "Values Scan"):
        return False  # other nodes find the rows they read
    return node["Node Type"] == "Seq Scan" or "Index Cond" not in node


async def test_writes_look_up(dsn: str) -> None:
    """No write or foreign key check scans a table, and no plan cached early turns into a scan."""
    async with explained(dsn) as (runtime, plans):
        for prefix in ("a", "b"):
            await write(runtime, prefix)
    scans = [scan for scan in plans.scans() if not any(name in scan[0] for name in (*OF_THIS_UPLOAD, IS_EMPTY))]
    texts = " ".join(text for text, _ in scans)
    for part in (
        "INSERT INTO image (",
        "DELETE FROM image_dependency",
        "FOR KEY SHARE",
        "image_revision",
        "idempotency_key",
    ):
        assert part in texts
    grown = [(text, node) for text, node in scans if _grows(text, node)]
    assert not grown, grown[0]


async def test_graphs_look_up(dsn: str) -> None:
    """No reading of the graph scans a table, in any direction and at any depth."""
    async with explained(dsn) as (runtime, plans):
        base, _ = await runtime.images.register(CALLER, minimal("algo/base"))
        await runtime.images.register(CALLER, minimal("algo/app", dependencyServiceId="algo/base:1.0"))
        for direction in ("down", "up", "both"):
            for image in (base, "algo/app:1.0"):
                await runtime.graphs.dependencies(image, {"direction": direction})
                await runtime.graphs.dependencies(image, {"direction": direction, "depth": 2})
        await runtime.graphs.impact("algo/base:1.0", {"action": "replace", "by": "algo/app:1.0"})
        await runtime.graphs.closure(["algo/app:1.0", base])
    scans = [scan for scan in plans.scans() if "INSERT INTO" not in scan[0]]
    assert len([text for text, _ in scans if "WITH RECURSIVE" in text]) > 20
    grown = [(text, node) for text, node in scans if _grows(text, node)]
    assert not grown, grown[0]


SEARCHES: list[dict[str, Any]] = [
    {},
    {"searchCondition": "algo"},
    {"searchCondition": "a"},
    {"searchCondition": "a" * 32},
    {"namespace": "algo"},
    {"factory": "ehl", "eventType": 1},
    {"searchCondition": "algo", "useableFlag": "1"},
]


async def test_searches_walk_or_look_up(dsn: str) -> None:
    """No search does a sequential scan: it uses index lookups, or scans in result order."""
    search = ImageSearch()
    async with explained(dsn) as (runtime, plans):
        for query in SEARCHES:
            async with runtime.database.connection() as connection:
                await search.records(connection, check_conditions(query), 1001)
                await search.page(connection, check_conditions(query | {"page": 1}))
                await search.copy(connection, check_conditions(query), _ignore, keyed=True)
    kinds = [node["Node Type"] for _, node in plans.scans() if node.get("Relation Name") == "image"]
    assert len(kinds) > len(SEARCHES)
    assert "Seq Scan" not in kinds


async def _ignore(data: bytes) -> None: ...
