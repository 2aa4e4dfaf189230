"""ASGI and a pool of asyncpg, and nothing else; served by uvicorn with uvloop and httptools."""

import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Messages = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Work = Callable[[Pool, dict[str, Any], Messages], Awaitable[bytes | None]]


async def _no_reset(connection: object) -> None:
    """A floor leaves nothing behind in its sessions."""


class Floor:
    """An application that answers every request with what `work` gives; None is a failure."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._pool: Pool

    async def __call__(self, scope: dict[str, Any], receive: Messages, send: Send) -> None:
        """Answer one request, or open and close the pool."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = await self._work(self._pool, scope, receive)
        status, body = (200, body) if body is not None else (500, b"")
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Messages, send: Send) -> None:
        await receive()
        dsn = os.environ["BENCHMARK_DSN"]
        async with asyncpg.create_pool(dsn, min_size=8, max_size=8, reset=_no_reset) as self._pool:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def read(receive: Messages) -> bytes:
    """Read a whole body."""
    message = await receive()
    body: bytes = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    return body
