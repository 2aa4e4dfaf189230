"""No synchronous standby is available: writes are answered in time all the same, and none is done twice."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults import servers
from tests.faults.report import Report
from tests.faults.servers import Server
from tests.support.images import IMAGES, delete, minimal, records, register, upload
from tests.support.service import serving, settings_for

pytestmark = pytest.mark.slow
SECONDS = 0.5
KEYED = minimal("algo/keyed")
FILE = [minimal("algo/u1"), minimal("algo/u2")]


@pytest.fixture
def primary(programs: Path, folder: Path) -> Iterator[Server]:
    """A migrated server."""
    with servers.running(programs, folder, "alone") as [server]:
        yield server


async def wait_for(primary: Server, standbys: str) -> None:
    """Make commits wait for standbys with these names; without such standbys they wait forever."""
    await primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standbys}'", "SELECT pg_reload_conf()")
    await primary.until(f"SELECT current_setting('synchronous_standby_names') = '{standbys}'")
    # The checkpointer tells the sessions whether they have to wait for standbys.
    await asyncio.sleep(0.5)


def writes(client: httpx.AsyncClient, a: str, b: str, c: str) -> list[Awaitable[httpx.Response]]:
    """Return one request of each write; those whose effect is checked later also with a key."""
    return [
        client.post(f"{IMAGES}/_register", json=minimal("algo/plain")),
        client.post(f"{IMAGES}/_register", json=KEYED, headers={"idempotency-key": "k"}),
        client.post(f"{IMAGES}/_update", json=minimal("algo/a", imageId=a, factory="二")),
        delete(client, b),
        client.post(f"{IMAGES}/{c}/_restore"),
        upload(client, FILE),
    ]


async def timed(request: Awaitable[httpx.Response]) -> tuple[float, httpx.Response]:
    """Await a response; return its time in seconds and the response."""
    began = time.monotonic()
    answer = await request
    return time.monotonic() - began, answer


async def searched(client: httpx.AsyncClient, until: "asyncio.Future[Any]") -> float:
    """Search until something has ended; return the longest time in seconds."""
    slowest = 0.0
    while not until.done():
        seconds, answer = await timed(client.get(f"{IMAGES}/_search"))
        assert answer.status_code == 200
        slowest = max(slowest, seconds)
        await asyncio.sleep(0.05)
    return slowest


async def test_writes_are_answered(primary: Server, report: Report, scale: Callable[[int, int], int]) -> None:
    """Writes get -503 soon after their timeout, searches continue; a repeat waits, then finds one row."""
    async with serving(settings_for(primary.dsn(), statement_timeout=SECONDS, pool_size=6)) as client:
        ids = [await register(client, f"algo/{name}") for name in "abc"]
        await delete(client, ids[2])
        await wait_for(primary, "ANY 1 (nobody)")
        asked = asyncio.gather(*map(timed, writes(client, *ids)))
        search = await searched(client, asked)
        answers = await asked
        slowest = max(seconds for seconds, _ in answers)
        assert {(answer.status_code, answer.json()["status"]) for _, answer in answers} == {(503, "-503")}
        assert all(answer.headers["retry-after"] for _, answer in answers)
        # Only the primary has the stored response.
        repeated = await client.post(f"{IMAGES}/_register", json=KEYED, headers={"idempotency-key": "k"})
        assert repeated.json()["status"] == "-503"
        await wait_for(primary, "")
        repeated = await client.post(f"{IMAGES}/_register", json=KEYED, headers={"idempotency-key": "k"})
        assert repeated.json()["status"] == "0"
        names = [record["imageName"] for record in await records(client)]
    assert names == ["algo/a", "algo/c", "algo/keyed", "algo/plain", "algo/u1", "algo/u2"]
    report.row(
        "No synchronous standby",
        statement_timeout_s=SECONDS,
        writes=len(answers),
        **{"answers_-503": len(answers)},
        slowest_answer_s=slowest,
        slowest_search_s=search,
        done_twice=len(names) - len(set(names)),
    )
    assert SECONDS < slowest < scale(10, 4)
    assert search < scale(10, 1)
