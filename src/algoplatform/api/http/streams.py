"""Streamed responses in constant memory: records go from COPY to the client as they arrive."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from algoplatform.api.http.envelope import JSON, Around
from algoplatform.catalogue.search import Stream, Write


class BrokenOff(Exception):
    """A response failed after it had started; the cause is in the log."""


def within(stream: Callable[[Write], Awaitable[Any]], *held: AbstractContextManager[object]) -> Stream:
    """Return a stream that enters these contexts while it runs, such as a slot or the file that it reads."""

    async def holding(write: Write) -> Any:
        with ExitStack() as stack:
            for each in held:
                stack.enter_context(each)
            return await stream(write)

    return holding


class StreamedRecords(Response):
    """An envelope around the records that `stream` writes; its tail contains the total that `stream` returns.

    It starts with the first record, so that a failure before that still gets an error response. A `stream` that finds
    nothing for long writes empty parts: these are not sent, but raise ClientDisconnect once the client is gone.
    """

    def __init__(self, stream: Stream, around: Around, headers: dict[str, str] | None = None) -> None:
        self._stream = stream
        self._head, self._tail = around
        self.status_code = 200
        self.background = None
        self.init_headers({"content-type": JSON, **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head with the first records, then the rest as it arrives, then the tail."""
        started = False
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        # When the client has disconnected, stop reading from the database.
        gone = asyncio.ensure_future(_disconnect(receive))

        async def write(data: bytes) -> None:
            nonlocal started
            if gone.done():
                raise ClientDisconnect
            if not data:
                return
            if not started:
                started = True
                await send(start)
                data = self._head + data
            await send({"type": "http.response.body", "body": data, "more_body": True})

        try:
            total = await self._stream(write)
        except ClientDisconnect:
            raise
        except Exception as error:
            if not started:
                raise
            raise BrokenOff from error
        finally:
            gone.cancel()
        tail = self._tail(total)
        if not started:
            await send(start)
            tail = self._head + tail
        await send({"type": "http.response.body", "body": tail, "more_body": False})


@asynccontextmanager
async def while_connected(request: Request) -> AsyncIterator[None]:
    """Cancel a long block when the client disconnects; the request's body must have been read."""

    async def watch() -> None:
        await _disconnect(request.receive)
        bound.reschedule(asyncio.get_running_loop().time())

    try:
        async with asyncio.timeout(None) as bound:
            watching = asyncio.create_task(watch())
            try:
                yield
            finally:
                watching.cancel()
    except TimeoutError:
        if bound.expired():
            raise ClientDisconnect from None
        raise


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
