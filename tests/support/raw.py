"""Raw requests that no well-behaved client sends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Answer:
    """A response as read from the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        """Return the body as JSON."""
        value: dict[str, Any] = json.loads(self.body)
        return value


class Connection:
    """A connection to write bytes to, piece by piece."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes, pause: float = 0) -> None:
        """Write pieces, pausing for `pause` seconds in between, until done or the other end closes."""
        for piece in pieces:
            try:
                self.writer.write(piece)
                await self.writer.drain()
            except ConnectionError:
                return
            await asyncio.sleep(pause)

    async def answer(self) -> Answer:
        """Read one response of known length."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(head[0].split()[1]), headers, body)

    async def closed(self, within: float = 60) -> bool:
        """Return whether the other end closes before it sends a byte; TimeoutError after `within` seconds."""
        async with asyncio.timeout(within):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


@asynccontextmanager
async def connected(client: httpx.AsyncClient) -> AsyncIterator[Connection]:
    """Connect to the service of a client."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port, limit=2**20)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


def post(path: str, *headers: str) -> bytes:
    """Return the head of a POST with a JSON body."""
    lines = (f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
