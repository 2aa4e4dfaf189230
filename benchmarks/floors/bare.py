"""ASGI and a few asyncpg connections, nothing else; served by uvicorn with uvloop and httptools."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

import asyncpg

from algoplatform.storage.postgres.pool import Connection

_CONNECTIONS = 8
Messages = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Work = Callable[[Connection, dict[str, Any], Messages], Awaitable[bytes | None]]


class Floor:
    """An application that answers every request with the result of `work`; None means failure."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()

    async def __call__(self, scope: dict[str, Any], receive: Messages, send: Send) -> None:
        """Answer one request, or open and close the connections."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        # asyncpg's own pool would need a task and a timer to take a connection back.
        connection = await self._idle.get()
        try:
            body = await self._work(connection, scope, receive)
        finally:
            self._idle.put_nowait(connection)
        status, body = (200, body) if body is not None else (500, b"")
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Messages, send: Send) -> None:
        await receive()
        dsn = os.environ["BENCHMARK_DSN"]
        connections = [cast(Connection, await asyncpg.connect(dsn)) for _ in range(_CONNECTIONS)]
        for connection in connections:
            self._idle.put_nowait(connection)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for connection in connections:
            await connection.close()
        await send({"type": "lifespan.shutdown.complete"})


async def read(receive: Messages) -> bytes:
    """Read a complete body."""
    message = await receive()
    body: bytes = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    return body
