"""A foreign server, which sends a given response and closes the connection."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.peers import peer


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Answer every request with these bytes; yield the URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: ([0-9]+)", head, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with peer(serve) as port:
        yield f"http://127.0.0.1:{port}"


def page(body: str, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """Return an HTTP response."""
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
    return head.encode() + content
