"""Writes that wait for locks held by others: they get -503, and others are hardly delayed."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from tests.faults.report import Report, is_full
from tests.support.images import IMAGES, delete, minimal
from tests.support.postgres import Postgres
from tests.support.process import Service, served

pytestmark = pytest.mark.slow
POOL = 6
UPLOADED = 60_000 if is_full() else 20_000
# Other work may slow down a machine that runs the short form.
P99_SECONDS = 0.1 if is_full() else 2
# Seconds. A register waits at most 5 s each for a batch, the batch's connection
# and its own one, then 2 s for the lock.
WRITE_SECONDS = 18 if is_full() else 30


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """DSN of a database."""
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture(scope="module")
def service(url: str) -> Iterator[Service]:
    """A service with one worker and few connections."""
    with served(DATABASE_URL=url, POOL_SIZE=str(POOL), LOG_LEVEL="error", BODY_TIMEOUT="300") as service:
        service.get("/readyz")
        yield service
        assert service.log("unhandled_error") == []


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a limit of connections."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=service.url, timeout=300, limits=limits) as client:
        yield client


async def searched(client: httpx.AsyncClient, until: "asyncio.Future[Any]") -> list[float]:
    """Run distinct searches until something has ended; return their times in ascending order."""
    times: list[float] = []
    while not until.done():
        began = time.monotonic()
        answer = await client.get(f"{IMAGES}/_search?searchCondition=s{len(times)}&pageSize=10&page=1")
        times.append(time.monotonic() - began)
        assert answer.status_code == 200
        await asyncio.sleep(0.02)
    return sorted(times)


async def timed(times: list[float], request: Awaitable[httpx.Response]) -> httpx.Response:
    """Await a response and record its time."""
    began = time.monotonic()
    answer = await request
    times.append(time.monotonic() - began)
    assert (answer.status_code == 503) == ("retry-after" in answer.headers)
    return answer


@asynccontextmanager
async def holding(url: str, *statements: str) -> AsyncIterator[None]:
    """Hold the locks that these statements take."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            for statement in statements:
                await connection.execute(statement)
            yield
    finally:
        await connection.close()


def put(report: Report, held_by: str, answers: Counter[int], slowest: float, searches: list[float]) -> float:
    """Add a row to the report; return the searches' p99."""
    p99 = searches[int(len(searches) * 0.99)]
    report.row(
        "Locks that others hold",
        held_by=held_by,
        writes=answers.total(),
        **{"answers_-503": answers[503]},
        slowest_write_s=slowest,
        searches=len(searches),
        searches_p99_ms=p99 * 1000,
    )
    return p99


async def test_lock_of_a_transaction(client: httpx.AsyncClient, url: str, report: Report) -> None:
    """Twenty-four writes that wait for another transaction's locks get -503 in time, whatever their kind."""
    images = []
    for number in range(6):
        answer = await client.post(f"{IMAGES}/_register", json=minimal(f"algo/held{number}"))
        images.append(answer.headers["location"].rpartition("/")[2])
    await delete(client, images[5])
    times: list[float] = []
    async with holding(url, "SELECT FROM image FOR UPDATE", "LOCK TABLE idempotency_key IN SHARE MODE"):
        writes = [
            request
            for number in range(6)
            for request in (
                client.post(f"{IMAGES}/_update", json=minimal("algo/held0", imageId=images[0])),
                delete(client, images[number % 5]),
                client.post(f"{IMAGES}/{images[5]}/_restore"),
                client.post(
                    f"{IMAGES}/_update",
                    json=minimal("algo/held1", imageId=images[1]),
                    headers={"idempotency-key": f"k{number}"},
                ),
            )
        ]
        waiting = asyncio.gather(*(timed(times, request) for request in writes))
        searches = await searched(client, waiting)
        answers = Counter(answer.status_code for answer in await waiting)
    p99 = put(report, "a transaction", answers, max(times), searches)
    assert set(answers) == {503}
    assert max(times) < WRITE_SECONDS
    assert p99 < P99_SECONDS
    assert (await delete(client, images[0])).status_code == 200


async def written(url: str, uploading: "asyncio.Task[Any]") -> None:
    """Wait until an upload has written some rows but not all."""
    connection = await asyncpg.connect(url)
    try:
        while not await connection.fetchval("SELECT max(tuples_processed) > 500 FROM pg_stat_progress_copy"):
            assert not uploading.done()
            await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def test_lock_of_an_upload(client: httpx.AsyncClient, url: str, report: Report) -> None:
    """Registers of names that an upload has just written wait, then get a conflict or -503."""
    records = [minimal(f"algo/up{number:05}", algoDesc="描述" * 100) for number in range(UPLOADED)]
    file = {"file": ("f", json.dumps(records, ensure_ascii=False).encode())}
    times: list[float] = []

    async def contend() -> list[httpx.Response]:
        answers: list[httpx.Response] = []
        while not uploading.done():
            requests = (client.post(f"{IMAGES}/_register", json=records[number]) for number in range(10))
            answers += await asyncio.gather(*(timed(times, request) for request in requests))
        return answers

    uploading = asyncio.create_task(client.post(f"{IMAGES}/_upload", files=file))
    await written(url, uploading)
    contending = asyncio.create_task(contend())
    searches = await searched(client, asyncio.gather(uploading, contending))
    answers = Counter(answer.status_code for answer in await contending)
    uploaded = (await uploading).json()
    p99 = put(report, f"an upload of {UPLOADED:,}", answers, max(times, default=0.0), searches)
    assert uploaded["status"] == "0", uploaded
    assert sum(uploaded["res"].values()) == UPLOADED
    assert set(answers) <= {200, 409, 503}
    assert max(times, default=0.0) < WRITE_SECONDS
    assert p99 < P99_SECONDS
