"""Overload and misbehaving clients: others are hardly affected, and nothing leaks."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.faults.report import Report, is_full
from tests.support.images import IMAGES, PLATFORM, minimal
from tests.support.postgres import Postgres
from tests.support.process import Service, served

pytestmark = pytest.mark.slow
Scale = Callable[[int, int], int]
POOL = 5
BODY = b'{"imageName":"algo/slow",'
HEAD = b"POST /algoPlatform/images/_register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """DSN of a database."""
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture(scope="module")
def service(url: str) -> Iterator[Service]:
    """A service with one worker and few connections; short timeouts for slow clients in the short form."""
    patience = {"POOL_TIMEOUT": "0.5"} | ({} if is_full() else {"HEADER_TIMEOUT": "4", "BODY_TIMEOUT": "4"})
    with served(DATABASE_URL=url, POOL_SIZE=str(POOL), LOG_LEVEL="error", **patience) as service:
        service.get("/readyz")
        yield service
        assert service.stop() == 0
        assert service.log("unhandled_error") == []


def client_of(service: Service, **given: Any) -> httpx.AsyncClient:
    """A client without a limit of connections."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=service.url, timeout=240, limits=limits, **given)


async def pool(client: httpx.AsyncClient) -> dict[str, float]:
    """Return the pool's metrics."""
    found = re.findall(r"^algoplatform_pool_connections_(\w+)\S* (\S+)$", (await client.get("/metrics")).text, re.M)
    return {name: float(value) for name, value in found}


async def all_idle(client: httpx.AsyncClient) -> int:
    """Wait until all of the pool's connections are idle; return how many never come back."""
    for _ in range(200):
        figures = await pool(client)
        if figures["open"] == figures["idle"]:
            return 0
        await asyncio.sleep(0.05)
    return int(figures["open"] - figures["idle"])


def requests(client: httpx.AsyncClient, mark: str) -> list[Coroutine[Any, Any, httpx.Response]]:
    """Return one request of each operation."""
    image_id = "0" * 32
    return [
        client.get(f"{IMAGES}/_search"),
        client.get(f"{IMAGES}/{image_id}"),
        client.post(f"{IMAGES}/_load"),
        client.post(f"{IMAGES}/_register", json=minimal(f"algo/{mark}")),
        client.post(f"{IMAGES}/_register", json=minimal(f"algo/{mark}k"), headers={"idempotency-key": mark}),
        client.post(f"{IMAGES}/_update", json=minimal(imageId=image_id)),
        client.post(f"{IMAGES}/_delete", json={"imageId": image_id, "userResult": PLATFORM}),
        client.post(f"{IMAGES}/_upload", files={"file": ("f", b"[]")}),
        client.get("/readyz"),
        client.get(f"{IMAGES}/_search?page=1"),
    ]


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[None]:
    """Block all statements on images."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE image IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def timed(times: list[float], request: Awaitable[httpx.Response]) -> httpx.Response:
    """Await a response and record its time."""
    began = time.monotonic()
    answer = await request
    times.append(time.monotonic() - began)
    return answer


async def test_pool_exhausted(service: Service, url: str, report: Report, scale: Scale) -> None:
    """Ten times as many blocked requests as connections: -503 with Retry-After, and the process is ready."""
    rounds, answers, healthy = scale(2, 20), Counter[int](), list[float]()
    async with client_of(service) as client:
        for number in range(rounds):
            async with locked(url):
                waiting = [
                    asyncio.create_task(request)
                    for group in range(POOL)
                    for request in requests(client, f"e{number}-{group}")
                ]
                # The requests with a connection are answered in the end, all others after the
                # half second that they may wait for one.
                while sum(task.done() for task in waiting) < len(waiting) - POOL:
                    assert (await timed(healthy, client.get("/healthz"))).status_code == 200
                    await asyncio.sleep(0.02)
                assert (await client.get("/readyz")).status_code == 200
            for answer in await asyncio.gather(*waiting):
                answers[answer.status_code] += 1
                if answer.status_code == 503:
                    assert int(answer.headers["retry-after"]) > 0
        after = {(await request).status_code for request in requests(client, "after")}
        leaked = await all_idle(client)
    report.row(
        "Pool exhausted",
        connections=POOL,
        requests_at_once=10 * POOL,
        rounds=rounds,
        **{"answers_-503": answers[503]},
        other_5xx=sum(count for status, count in answers.items() if status >= 500 and status != 503),
        healthz_slowest_ms=max(healthy) * 1000,
        connections_leaked=leaked,
    )
    assert set(answers) <= {503, 429, 200, 404}
    # Uploads beyond their slots are -429.
    assert answers[503] + answers[429] >= 7 * POOL * rounds
    assert answers[503] >= 5 * POOL * rounds
    assert after <= {200, 404}
    assert leaked == 0
    assert max(healthy) < scale(10, 1)


async def behave(client: httpx.AsyncClient, mark: str, times: list[float], stop: asyncio.Event) -> Counter[int]:
    """Search, register and read continuously, almost without pause."""
    seen: Counter[int] = Counter()
    turn = 0
    while not stop.is_set():
        turn += 1
        body = minimal(f"algo/{mark}-{turn}")
        for request in (
            client.post(f"{IMAGES}/_register", json=body),
            client.get(f"{IMAGES}/_search?searchCondition={mark}-{turn}"),
        ):
            seen[(await timed(times, request)).status_code] += 1
        await asyncio.sleep(0.1)
    return seen


async def hang_up(port: int, number: int) -> None:
    """Disconnect within the head, within the body or during the response; two hundred times a second."""
    await asyncio.sleep(number / 200)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    parts = [
        HEAD[:40],
        HEAD + b"content-length: 1000\r\n\r\n" + BODY,
        b"POST /algoPlatform/images/_load HTTP/1.1\r\nhost: x\r\n\r\n",
        HEAD + b"content-length: 2\r\n\r\n{}",
    ]
    writer.write(parts[number % len(parts)])
    await writer.drain()
    await asyncio.sleep(0.005 * (number // 4 % 10))
    writer.transport.abort()


async def drip(port: int, number: int) -> None:
    """Send a byte a second, of a head or a body, until the service closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = HEAD + b"content-length: 1000\r\n\r\n"
    if number % 2:
        writer.write(head)
    with suppress(ConnectionError):
        for byte in BODY * 40 if number % 2 else head * 40:
            writer.write(bytes([byte]))
            await writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await reader.read()
                    break
    writer.transport.abort()


def open_files(service: Service) -> int:
    """Return the number of the service's open files."""
    return len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))


@pytest.mark.parametrize(("how", "act"), [("hang up mid-request", hang_up), ("send a byte a second", drip)])
async def test_clients_that_do_not_behave(
    service: Service,
    report: Report,
    scale: Scale,
    many_files: None,
    how: str,
    act: Callable[[int, int], Awaitable[None]],
) -> None:
    """A thousand of them do not delay others' responses beyond a second, and no connection leaks."""
    count, times, stop = scale(300, 1000), list[float](), asyncio.Event()
    port = httpx.URL(service.url).port or 0
    async with client_of(service) as client:
        before = open_files(service)
        others = [asyncio.create_task(behave(client, f"{act.__name__}-{number}", times, stop)) for number in range(5)]
        began = time.monotonic()
        await asyncio.gather(*(act(port, number) for number in range(count)))
        await asyncio.sleep(max(0, 3 - (time.monotonic() - began)))
        stop.set()
        seen = sum(await asyncio.gather(*others), Counter[int]())
        leaked = await all_idle(client)
        # Connections that the pool has opened meanwhile may stay.
        kept = open_files(service) - before - POOL
    slowest = sorted(times)[int(len(times) * 0.99)]
    report.row(
        "Clients that do not behave",
        they=how,
        clients=count,
        requests_of_others=len(times),
        of_these_failed=seen.total() - seen[200],
        p99_ms=slowest * 1000,
        connections_leaked=leaked,
        files_left_open=max(0, kept),
    )
    assert set(seen) == {200}
    assert (leaked, max(0, kept)) == (0, 0)
    # Other work may slow down a machine that runs the short form.
    assert slowest < scale(10, 1)
