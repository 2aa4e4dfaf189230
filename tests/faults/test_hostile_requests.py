"""One client sends the most expensive requests: others are served as usual, and memory does not grow."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.report import Report
from tests.support.images import IMAGES
from tests.support.process import Service

pytestmark = pytest.mark.slow
Scale = Callable[[int, int], int]
CONNECTIONS = 12
MIB = 1024 * 1024
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SEARCH = f"GET {IMAGES}/_search?page=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a request."""
    length = (f"Content-Length: {len(body)}",) if body else ()
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: x", *headers, *length, "", "")).encode() + body


def update(*headers: str) -> bytes:
    """Return an update that is rejected after its headers are checked."""
    return request("POST", f"{IMAGES}/_update", "Content-Type: application/json", *headers, body=b"{}")


def upload(body: bytes) -> bytes:
    """Return an upload."""
    return request("POST", f"{IMAGES}/_upload", "Content-Type: multipart/form-data; boundary=b", body=body)


PART = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
CHUNKED = request("POST", f"{IMAGES}/_register", "Content-Type: application/json", "Transfer-Encoding: chunked")
# Data that fills a connection, repeated until the connection has sent its share.
HOSTILE = {
    "requests sent ahead": HEALTH,
    "searches sent ahead": SEARCH,
    "writes sent ahead": update(),
    "30 KiB of headers": request("GET", "/healthz", *["A: " + "b" * 110] * 250),
    "10,000 wishes": update("Accept: application/problem+json" + ",application/json;q=0.1" * 1250),
    "10,000 short wishes": update("Accept: application/problem+json," + "a," * 15_000),
    "10,000 entity tags": update("If-Match: " + '"1"' + ',"1"' * 7500),
    "blanks for entity tags": update("If-Match: " + " " * 31_000 + "x"),
    "escapes of a key": update('Idempotency-Key: "' + '\\"' * 15_000 + '"'),
    "parameters of a query": request("GET", f"{IMAGES}/_search?" + "a&" * 15_000),
    "parameters of a media type": request(
        "POST", f"{IMAGES}/_upload", "Content-Type: multipart/form-data" + "; a=b" * 6000, body=b"x"
    ),
    "30 KiB of path": request("GET", f"{IMAGES}/" + "%E6%8A%BD" * 3400),
    "30 KiB typed into a URL": request("GET", f"{IMAGES}/" + "抽" * 3400),
    "30 KiB of host": request("POST", f"{IMAGES}/_register", "Origin: http://" + ":1" * 15_000, body=b"{}"),
    "chunks of one byte": CHUNKED + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n",
    "false boundaries": upload(PART + b"\r\n--bX" * 170_000 + b"\r\n--b--"),
    "parts": upload(b"--b\r\n\r\n\r\n" * 100_000),
    "headers of a part": upload(b"--b\r\n" + b"A: b\r\n" * 100_000),
    "a body of blanks": request("POST", f"{IMAGES}/_register", "Content-Type: application/json", body=b" " * MIB),
}


def memory(service: Service, name: str) -> int:
    """Return current (VmRSS) or peak (VmHWM) memory of the process in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{service.process.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def forget_peak(service: Service) -> None:
    """Reset the process's peak of memory."""
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")


async def flood(port: int, data: bytes, size: int) -> None:
    """Send `size` bytes of hostile data, or until the service closes the connection; read all responses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def read() -> None:
        while await reader.read(MIB):
            pass

    reading = asyncio.create_task(read())
    with suppress(ConnectionError):
        for _ in range(max(1, size // len(data))):
            writer.write(data)
            await writer.drain()
        # A last request proves that all before it have been answered.
        writer.write(request("GET", "/healthz", "Connection: close"))
        await asyncio.wait([reading], timeout=60)
    writer.transport.abort()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def probe(port: int, times: list[float], stop: asyncio.Event) -> None:
    """Probe liveness like a kubelet, but more often."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not stop.is_set():
        began = time.monotonic()
        writer.write(HEALTH)
        await reader.readuntil(b"}")
        times.append(time.monotonic() - began)
        await asyncio.sleep(0.01)
    writer.close()


async def watched(service: Service, act: Callable[[int], Awaitable[None]]) -> tuple[float, int]:
    """Act on each connection; return the probes' p99 in seconds and the growth of memory in bytes."""
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
    """While twelve such connections send, probes wait less than 100 ms, and memory grows by less than 64 MiB."""
    size = scale(MIB // 16, MIB)
    p99, growth = await watched(service, lambda port: flood(port, HOSTILE[what], size))
    _tell(report, what, CONNECTIONS, size, p99, growth)
    assert growth < 64 * MIB
    # Other work may slow down a machine that runs the short form.
    assert p99 < scale(2000, 100) / 1000


async def test_bodies_that_stay(service: Service, report: Report) -> None:
    """Hundreds of bodies that lack their last byte use the body budget and little more."""
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
    assert growth < 64 * MIB


def _tell(report: Report, what: str, connections: int, size: int, p99: float, growth: int) -> None:
    report.row(
        "Costly requests",
        what=what,
        connections=connections,
        KiB_each=size // 1024,
        healthz_p99_ms=p99 * 1000,
        memory_MiB=growth / MIB,
    )
