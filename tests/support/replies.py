"""A server that sends given bytes and records its requests, for responses that no real server sends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.peers import peer


@dataclass
class Asked:
    """A recorded request."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """The request target without its query."""
        return self.target.partition("?")[0]


@dataclass
class Replies:
    """A running server: its port, and all requests so far."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)

    @property
    def host(self) -> str:
        """Host and port of the server."""
        return f"127.0.0.1:{self.port}"


# Returns the complete response, or an iterator that sends it in pieces.
Reply = Callable[[Asked], bytes | AsyncIterator[bytes]]


def reply(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Return an HTTP response."""
    lines = [f"HTTP/1.1 {status} Told", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def replying(answer: Reply) -> AsyncIterator[Replies]:
    """Serve one request per connection."""
    served = Replies()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = dict(_pair(line) for line in head[1:] if line)
        asked = Asked(method, target, headers)
        served.asked.append(asked)
        told = answer(asked)
        if isinstance(told, bytes):
            told = told.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else told
            writer.write(told)
            await writer.drain()
            return
        async for piece in told:
            writer.write(piece)
            await writer.drain()

    async with peer(serve) as port:
        served.port = port
        yield served


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()
