"""PostgreSQL connections fall silent without closing: responses come in time, and repeats succeed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.faults.report import Report, is_full
from tests.support.freezing import Way, freezing
from tests.support.images import IMAGES, minimal
from tests.support.postgres import Postgres
from tests.support.process import Service, served

pytestmark = pytest.mark.slow
STATEMENT = 4.0 if is_full() else 1.0
# Other work may slow down a machine that runs the short form.
IN_TIME = STATEMENT + (1 if is_full() else 4)
Request = Callable[[httpx.AsyncClient, str, str], Coroutine[Any, Any, httpx.Response]]

OPERATIONS: dict[str, Request] = {
    "get": lambda client, image, mark: client.get(f"{IMAGES}/{image}"),
    "search": lambda client, image, mark: client.get(f"{IMAGES}/_search?searchCondition={mark}"),
    "repeated search": lambda client, image, mark: client.get(f"{IMAGES}/_search?searchCondition=kept"),
    "history": lambda client, image, mark: client.get(f"{IMAGES}/{image}/history"),
    "register": lambda client, image, mark: client.post(f"{IMAGES}/_register", json=minimal(f"algo/{mark}")),
    "register under a key": lambda client, image, mark: client.post(
        f"{IMAGES}/_register", json=minimal(f"algo/{mark}"), headers={"idempotency-key": mark}
    ),
    "update": lambda client, image, mark: client.post(f"{IMAGES}/_update", json=minimal("algo/kept", imageId=image)),
    "upload": lambda client, image, mark: client.post(
        f"{IMAGES}/_upload", files={"file": ("f", json.dumps([minimal(f"algo/{mark}")]))}
    ),
    "export": lambda client, image, mark: client.post(f"{IMAGES}/_load"),
    "readyz": lambda client, image, mark: client.get("/readyz"),
    "metrics": lambda client, image, mark: client.get("/metrics"),
}


@pytest.fixture
async def way(postgres: Postgres) -> AsyncIterator[Way]:
    """A proxy to a database that can drop all traffic."""
    with postgres.database() as dsn:
        async with freezing(dsn) as opened:
            yield opened


@pytest.fixture
async def service(way: Way) -> AsyncIterator[Service]:
    """A service with one worker that connects through this proxy."""
    settings = {"POOL_SIZE": "6", "POOL_TIMEOUT": "1", "STATEMENT_TIMEOUT": str(STATEMENT), "LOG_LEVEL": "warning"}
    process = served(DATABASE_URL=way.dsn, **settings)
    # The proxy runs on this event loop, which must not block.
    running = await asyncio.to_thread(process.__enter__)
    try:
        await asyncio.to_thread(running.get, "/readyz")
        yield running
    finally:
        running.process.kill()
        await asyncio.to_thread(process.__exit__, None, None, None)


async def timed(request: Awaitable[httpx.Response]) -> tuple[float, httpx.Response]:
    """Await a response; return its time in seconds and the response."""
    began = time.monotonic()
    answer = await request
    return time.monotonic() - began, answer


async def silenced(client: httpx.AsyncClient, way: Way, name: str, image: str) -> tuple[float, float]:
    """Silence the connections during an operation; return the seconds of its response and of a repeat's."""
    request, mark = OPERATIONS[name], name.replace(" ", "-")
    assert (await request(client, image, f"{mark}0")).status_code == 200
    way.freeze()
    first, answer = await timed(request(client, image, f"{mark}1"))
    # Operations on the registry fail; the process's metrics are available all the same.
    assert answer.status_code == (200 if name == "metrics" else 503), name
    if name not in ("metrics", "readyz"):
        assert (answer.json()["status"], bool(answer.headers["retry-after"])) == ("-503", True)
    second, answer = await timed(request(client, image, f"{mark}2"))
    assert answer.status_code == 200, (name, answer.text)
    return first, second


async def test_silent_connections(service: Service, way: Way, report: Report) -> None:
    """Each operation on a silent connection is answered in time, and succeeds when repeated at once."""
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        answer = await client.post(f"{IMAGES}/_register", json=minimal("algo/kept"))
        image = answer.headers["location"].rpartition("/")[2]
        await client.post(f"{IMAGES}/_register", json=minimal())
        times = {name: await silenced(client, way, name, image) for name in OPERATIONS}
    slowest = max(times, key=lambda name: times[name][0])
    report.row(
        "Silent connections",
        silent="those that are open",
        statement_timeout_s=STATEMENT,
        operations=len(times),
        slowest=slowest,
        slowest_answer_s=times[slowest][0],
        slowest_next_answer_s=max(after for _, after in times.values()),
    )
    assert times[slowest][0] < IN_TIME
    assert max(after for _, after in times.values()) < (1 if is_full() else 4)


async def test_silent_in_the_middle(service: Service, way: Way, report: Report) -> None:
    """A stalled download is broken off, a stalled upload gets -503; both succeed when repeated."""
    records = [minimal(f"algo/n{number}", algoDesc="描述" * 500) for number in range(3000)]
    file = {"file": ("f", json.dumps(records, ensure_ascii=False).encode())}
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        way.freeze_after(2_000_000)
        up, answer = await timed(client.post(f"{IMAGES}/_upload", files=file))
        assert answer.status_code == 503
        answer = await client.post(f"{IMAGES}/_upload", files=file)
        assert answer.json()["res"]["created"] == len(records)
        way.freeze_after(2_000_000)
        began = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(f"{IMAGES}/_load")
        down = time.monotonic() - began
        assert len((await client.post(f"{IMAGES}/_load")).json()["res"]) == len(records)
    report.row(
        "Silent connections",
        silent="half way through",
        statement_timeout_s=STATEMENT,
        operations=2,
        slowest="upload" if up > down else "export",
        slowest_answer_s=max(up, down),
        slowest_next_answer_s="-",
    )
    # Before the silence begins, some work is done.
    assert max(up, down) < IN_TIME + 3


async def test_silent_network(service: Service, way: Way, report: Report) -> None:
    """In a total outage, for new connections too, all requests fail and the service stops in time."""
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        image = (
            (await client.post(f"{IMAGES}/_register", json=minimal("algo/kept"))).headers["location"].rpartition("/")[2]
        )
        for turn in range(2):
            await asyncio.gather(*(client.get(f"{IMAGES}/_search?searchCondition=kept") for _ in range(6)))
            way.freeze(also_new=True)
            requests = {name: request for name, request in OPERATIONS.items() if name != "upload"}
            answers = await asyncio.gather(
                *(
                    timed(request(client, image, f"all{turn}{number}"))
                    for number in range(3)
                    for request in requests.values()
                )
            )
            slowest = max(seconds for seconds, _ in answers)
            # Some requests first wait in a queue.
            assert slowest < IN_TIME + 2
            assert {answer.status_code for _, answer in answers} <= {200, 503}
            way.thaw()
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get(f"{IMAGES}/{image}")).status_code == 200
        way.freeze(also_new=True)
        hanging = [asyncio.create_task(request(client, image, "end")) for request in requests.values()]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        assert await asyncio.to_thread(service.stop) == 0
        drain = time.monotonic() - began
        for task in hanging:
            with suppress(httpx.TransportError):
                await task
    report.row(
        "Silent connections",
        silent="all, new ones too; SIGTERM",
        statement_timeout_s=STATEMENT,
        operations=len(answers),
        slowest=f"drain {drain:.1f} s",
        slowest_answer_s=slowest,
        slowest_next_answer_s="-",
    )
    assert drain < IN_TIME + 3
