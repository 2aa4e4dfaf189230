"""Dependencies and impact: milliseconds per result with up to 1,000 images."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any, Final

import orjson

from algoplatform.catalogue.cluster.graph import Graphs
from algoplatform.domain.record.check import Rules
from algoplatform.storage.postgres.pool import Database
from benchmarks import data, servers
from benchmarks.load import percentile
from benchmarks.results import Goal, Result
from benchmarks.session import Session, settle

# Each image depends on three of the 50 before it in its group, so the last images of a group reach nearly all others,
# and nearly all reach the first.
_GROUP: Final = 1_000
_WITHIN: Final = 50
_EDGES: Final = 3
_GOAL: Final = Goal("at most", 10, "figure")

# The floor: a recursive query for ids only.
_FLOOR: Final = {
    way: f"""WITH RECURSIVE reached(id) AS (
        SELECT $1::uuid UNION SELECT {target} FROM reached JOIN image_dependency ON {source} = reached.id
    ) SELECT id FROM reached LIMIT 1001"""
    for way, source, target in (
        ("down", "dependent_id", "dependency_id"),
        ("up", "dependency_id", "dependent_id"),
    )
}

Ask = Callable[[Graphs, str], Awaitable[Any]]


def graph(session: Session) -> list[Result]:
    """Milliseconds from the call to the JSON, for dependencies and impact of the images with the largest results."""
    rows = session.plan.middle
    dsn = session.copied(rows)
    edges = asyncio.run(_link(dsn, rows))
    settle(dsn)
    # The service does the same at its start.
    gc.collect()
    gc.freeze()
    results = asyncio.run(_measured(session, dsn, rows, edges))
    gc.unfreeze()
    session.postgres.drop(dsn)
    return results


def _edges(rows: int) -> Iterator[tuple[str, str]]:
    random = Random(data.SEED)
    for index in range(rows):
        first = index // _GROUP * _GROUP
        for other in random.sample(range(max(first, index - _WITHIN), index), min(_EDGES, index - first)):
            yield data.image_id(index), data.image_id(other)


async def _link(dsn: str, rows: int) -> int:
    """Replace the edges, and return their number."""
    edges = sorted(_edges(rows))
    async with Database.open(dsn) as database, database.connection(write=True) as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("TRUNCATE image_dependency")
        await connection.execute(
            "INSERT INTO image_dependency SELECT * FROM unnest($1::uuid[], $2::uuid[])", *zip(*edges, strict=True)
        )
        connection.terminate()
    return len(edges)


async def _measured(session: Session, dsn: str, rows: int, edges: int) -> list[Result]:
    async with Database.open(dsn) as database:
        graphs = Graphs(Rules(), database)
        size = min(_GROUP, rows)
        last = [data.image_id(at) for at in range(rows - 1, 0, -1) if at % _GROUP >= size * 0.9]
        first = [data.image_id(at) for at in range(rows) if at % _GROUP < size * 0.02]
        of = f"of {rows:,} images with {edges:,} edges"
        return [
            await _timed(session, f"dependencies, {of}: p95", graphs, database, _dependencies, "down", last),
            await _timed(session, f"impact of a delete, {of}: p95", graphs, database, _impact, "up", first),
        ]


async def _timed(
    session: Session, name: str, graphs: Graphs, database: Database, ask: Ask, way: str, images: list[str]
) -> Result:
    """Time the results, then the recursive query for ids only."""
    chosen = Random(data.SEED).choices(images, k=session.plan.samples)
    took: list[float] = []
    floor: list[float] = []
    sizes: list[int] = []
    await ask(graphs, chosen[0])
    own, of_postgres = time.process_time(), servers.cpu_seconds(session.postgres.pid)
    for image in chosen:
        began = time.perf_counter()
        sizes.append(await ask(graphs, image))
        took.append((time.perf_counter() - began) * 1000)
    own, of_postgres = time.process_time() - own, servers.cpu_seconds(session.postgres.pid) - of_postgres
    async with database.connection() as connection:
        for image in chosen:
            began = time.perf_counter()
            await connection.fetch(_FLOOR[way], image)
            floor.append((time.perf_counter() - began) * 1000)
    figure, least = (percentile(sorted(times), 0.95) for times in (took, floor))
    each = 1000 / len(chosen)
    note = (
        f"{sum(sizes) / len(sizes):,.0f} images in an answer, median {percentile(sorted(took), 0.5):.1f} ms; "
        f"CPU an answer: service {own * each:.1f} ms, PostgreSQL {of_postgres * each:.1f} ms"
    )
    return Result(name, "ms", figure, least, figure / least, _GOAL, note)


async def _dependencies(graphs: Graphs, image: str) -> int:
    found = (await graphs.dependencies(image, {})).document()
    orjson.dumps(found)
    return len(found["nodes"])


async def _impact(graphs: Graphs, image: str) -> int:
    found = await graphs.impact(image, {"action": "delete"})
    orjson.dumps(found)
    return len(found["order"])
