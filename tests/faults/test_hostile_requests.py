"""One client that sends what costs most: others are answered as ever, and the process does not grow."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.report import Report
from tests.support.images import IMAGES
from tests.support.postgres import Postgres
from tests.support.process import Service, served

pytestmark = pytest.mark.slow
Scale = Callable[[int, int], int]
CONNECTIONS = 12
MIB = 1024 * 1024
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SEARCH = f"GET {IMAGES}/_search?page=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """Write a request."""
    length = (f"Content-Length: {len(body)}",) if body else ()
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: x", *headers, *length, "", "")).encode() + body


def update(*headers: str) -> bytes:
    """Write a request that is refused once its headers have been looked at."""
    return request("POST", f"{IMAGES}/_update", "Content-Type: application/json", *headers, body=b"{}")


def upload(body: bytes) -> bytes:
    """Write an upload."""
    return request("POST", f"{IMAGES}/_upload", "Content-Type: multipart/form-data; boundary=b", body=body)


PART = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
CHUNKED = request("POST", f"{IMAGES}/_register", "Content-Type: application/json", "Transfer-Encoding: chunked")
# What fills a connection, and is repeated until it has sent its share.
HOSTILE = {
    "requests sent ahead": HEALTH,
    "searches sent ahead": SEARCH,
    "writes sent ahead": update(),
    "30 KiB of headers": request("GET", "/healthz", *["A: " + "b" * 110] * 250),
    "10,000 wishes": update("Accept: application/problem+json" + ",application/json;q=0.1" * 1250),
    "10,000 short wishes": update("Accept: application/problem+json," + "a," * 15_000),
    "10,000 entity tags": update("If-Match: " + '"1"' + ',"1"' * 7500),
    "blanks for entity tags": update("If-Match: " + " " * 31_000 + "x"),
    "30 KiB of path": request("GET", f"{IMAGES}/" + "%E6%8A%BD" * 3400),
    "30 KiB typed into a URL": request("GET", f"{IMAGES}/" + "抽" * 3400),
    "30 KiB of host": request("POST", f"{IMAGES}/_register", "Origin: http://" + ":1" * 15_000, body=b"{}"),
    "chunks of one byte": CHUNKED + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n",
    "false boundaries": upload(PART + b"\r\n--bX" * 170_000 + b"\r\n--b--"),
    "parts": upload(b"--b\r\n\r\n\r\n" * 100_000),
    "headers of a part": upload(b"--b\r\n" + b"A: b\r\n" * 100_000),
    "a body of blanks": request("POST", f"{IMAGES}/_register", "Content-Type: application/json", body=b" " * MIB),
}


@pytest.fixture(scope="module")
def service(postgres: Postgres) -> Iterator[Service]:
    """One worker that is asked for nothing else."""
    with postgres.database() as dsn, served(DATABASE_URL=dsn, LOG_LEVEL="error") as service:
        service.get("/readyz")
        yield service
        assert service.stop() == 0
        assert service.log("unhandled_error") == []


def memory(service: Service, name: str) -> int:
    """Tell what the process has resident, or had at most, in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{service.process.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def forget_peak(service: Service) -> None:
    """Let the most that the process had begin anew."""
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")


async def flood(port: int, data: bytes, size: int) -> None:
    """Send so much of it, or until the service has had enough, and read whatever comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def read() -> None:
        while await reader.read(MIB):
            pass

    reading = asyncio.create_task(read())
    with suppress(ConnectionError):
        for _ in range(max(1, size // len(data))):
            writer.write(data)
            await writer.drain()
        # A last request shows that all before it have been answered.
        writer.write(request("GET", "/healthz", "Connection: close"))
        await asyncio.wait([reading], timeout=60)
    writer.transport.abort()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def probe(port: int, times: list[float], stop: asyncio.Event) -> None:
    """Ask as a kubelet does, only more often."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not stop.is_set():
        began = time.monotonic()
        writer.write(HEALTH)
        await reader.readuntil(b"}")
        times.append(time.monotonic() - began)
        await asyncio.sleep(0.01)
    writer.close()


async def watched(service: Service, act: Callable[[int], Awaitable[None]]) -> tuple[float, int]:
    """Do it on each of the connections; give the probe's p99 in seconds and the growth of memory in bytes."""
    port = int(service.url.rpartition(":")[2])
    forget_peak(service)
    before, times, stop = memory(service, "VmRSS"), list[float](), asyncio.Event()
    probing = asyncio.create_task(probe(port, times, stop))
    await asyncio.gather(*(act(port) for _ in range(CONNECTIONS)))
    stop.set()
    await probing
    return sorted(times)[int(len(times) * 0.99)], memory(service, "VmHWM") - before


@pytest.mark.parametrize("what", HOSTILE)
async def test_costly_requests(service: Service, report: Report, scale: Scale, what: str) -> None:
    """Twelve connections of it: a probe waits less than 100 ms, and the process grows by less than 64 MiB."""
    size = scale(MIB // 16, MIB)
    p99, growth = await watched(service, lambda port: flood(port, HOSTILE[what], size))
    _tell(report, what, CONNECTIONS, size, p99, growth)
    assert growth < 64 * MIB
    # A machine that runs the short form may have other things to do.
    assert p99 < scale(2000, 100) / 1000


async def test_bodies_that_stay(service: Service, report: Report) -> None:
    """Hundreds of bodies that lack their last byte hold what all bodies may hold, and what a connection needs."""
    count = 240
    body = request("POST", f"{IMAGES}/_register", "Content-Type: application/json", body=b" " * MIB)[:-1]

    async def hold(port: int) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count // CONNECTIONS)]
        for _, writer in held:
            with suppress(ConnectionError):
                writer.write(body)
                await writer.drain()
        await asyncio.sleep(1)
        for _, writer in held:
            writer.transport.abort()

    p99, growth = await watched(service, hold)
    _tell(report, "bodies without an end", count, MIB, p99, growth)
    assert growth < count * MIB * 3 // 4


def _tell(report: Report, what: str, connections: int, size: int, p99: float, growth: int) -> None:
    report.row(
        "Costly requests",
        what=what,
        connections=connections,
        KiB_each=size // 1024,
        healthz_p99_ms=p99 * 1000,
        memory_MiB=growth / MIB,
    )
