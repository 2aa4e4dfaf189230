"""Shutdown: requests for which the drain leaves no time get -503 in the envelope."""

import asyncio
import json
import socket
from collections.abc import MutableSequence
from contextlib import AsyncExitStack

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from algoplatform.api.server import options
from tests.support.images import IMAGES, minimal, upload
from tests.support.raw import Connection, post
from tests.support.service import serving, settings_for

LATER = {"status": "-503", "res": None, "msg": "服务暂时不可用，请稍后重试"}
FORM = post(f"{IMAGES}/_upload", "Content-Length: 1000000").replace(
    b"application/json", b"multipart/form-data; boundary=b"
)
PART = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'


class Ending:
    """A service that a test shuts down while connected to it."""

    def __init__(self, stack: AsyncExitStack, client: httpx.AsyncClient) -> None:
        self._stack = stack
        self.client = client
        self._stopping: asyncio.Task[None] | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Connection:
        """Open a connection that outlasts the service."""
        reader, writer = await asyncio.open_connection(self.client.base_url.host, self.client.base_url.port)
        self._writers.append(writer)
        return Connection(reader, writer)

    def stop(self) -> None:
        """Start the shutdown."""
        self._stopping = asyncio.create_task(self._stack.aclose())

    async def stopped(self) -> None:
        """Wait for the end of the shutdown, and close the connections."""
        assert self._stopping is not None
        async with asyncio.timeout(30):
            await self._stopping
        for writer in self._writers:
            writer.transport.abort()
        # The transports close in the loop's next iteration.
        await asyncio.sleep(0)


async def ending(database_url: str, patch: pytest.MonkeyPatch, drain: int, farewell: float) -> Ending:
    """Serve with a drain of this many seconds."""
    patch.setattr(options, "DRAIN", drain)
    patch.setattr(options, "FAREWELL", farewell)
    stack = AsyncExitStack()
    return Ending(stack, await stack.enter_async_context(serving(settings_for(database_url))))


async def told_to_come_again(raw: Connection) -> None:
    """Expect -503, then the end of the connection."""
    async with asyncio.timeout(30):
        answer = await raw.answer()
    assert (answer.status, answer.envelope, answer.headers["retry-after"]) == (503, LATER, "1")
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"]
    assert await raw.closed(30)


async def drip(raw: Connection) -> None:
    """Send bytes slowly until the peer closes."""
    while not raw.writer.is_closing():
        await raw.send(b"a", pause=0.05)


def statuses(lines: MutableSequence[EventDict]) -> list[int]:
    """Return the statuses in the log."""
    return [line["status"] for line in lines if line["event"] == "request"]


async def test_bodies_on_their_way(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless body is rejected before the drain ends, in time for the client to read the response."""
    with capture_logs() as lines:
        service = await ending(database_url, monkeypatch, 20, 19)
        silent, busy, idle = [await service.connect() for _ in range(3)]
        await silent.send(post(f"{IMAGES}/_register", "Content-Length: 100") + b"{")
        await busy.send(FORM + PART)
        dripping = asyncio.create_task(drip(busy))
        await asyncio.sleep(0.2)
        service.stop()
        assert await idle.closed()
        await asyncio.gather(told_to_come_again(silent), told_to_come_again(busy))
        dripping.cancel()
        await service.stopped()
    assert statuses(lines) == [503, 503]


async def test_bodies_that_come_in_time(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that complete during the drain are answered normally."""
    service = await ending(database_url, monkeypatch, 25, 5)
    body = json.dumps(minimal()).encode()
    raw = await service.connect()
    await raw.send(post(f"{IMAGES}/_register", f"Content-Length: {len(body)}") + body[:5])
    await asyncio.sleep(0.2)
    service.stop()
    await asyncio.sleep(0.5)
    await raw.send(body[5:])
    assert (await raw.answer()).envelope["status"] == "0"
    await service.stopped()


async def test_work_that_takes_too_long(
    database_url: str, aside: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that the server cancels at the end of the drain get a response, too."""
    with capture_logs() as lines:
        service = await ending(database_url, monkeypatch, 1, 0.5)
        async with aside.transaction():
            await aside.execute("LOCK TABLE image IN ACCESS EXCLUSIVE MODE")
            searching, uploading = [await service.connect() for _ in range(2)]
            await searching.send(f"GET {IMAGES}/_search HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            part = PART + b"[]\r\n--b--"
            await uploading.send(FORM.replace(b"1000000", b"%d" % len(part)) + part)
            await asyncio.sleep(0.2)
            service.stop()
            await asyncio.gather(told_to_come_again(searching), told_to_come_again(uploading))
        await service.stopped()
    assert statuses(lines) == [503, 503]
    assert not [line for line in lines if line["event"] == "unhandled_error"]


async def test_answer_that_has_begun(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A started response that cannot be completed is broken off, with no second one after it, and logged."""
    with capture_logs() as lines:
        service = await ending(database_url, monkeypatch, 1, 0.5)
        await upload(service.client, [minimal(f"algo/i{number}", algoDesc="长" * 4000) for number in range(500)])
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.connect((service.client.base_url.host, service.client.base_url.port))
            stalled.sendall(post(f"{IMAGES}/_load", "Content-Length: 0"))
            received = await asyncio.to_thread(stalled.recv, 1)
            service.stop()
            await asyncio.sleep(2)
            stalled.settimeout(30)
            while piece := await asyncio.to_thread(_receive, stalled):
                received += piece
            await service.stopped()
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.count(b"HTTP/1.1") == 1
    assert not received.endswith(b"0\r\n\r\n")
    assert [line.get("broken") for line in lines if line["event"] == "request"] == [None, True]


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""
