"""Batches concurrent calls: the first runs at once, those that arrive meanwhile share the next run."""

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final, Generic, TypeAlias, TypeVar

from algoplatform.domain.errors import Busy

Asked = TypeVar("Asked")
Given = TypeVar("Given")

# A value stays valid for at least this many times the duration of its read.
_REST: Final = 20

_Waiter: TypeAlias = "tuple[Asked, asyncio.Future[Given], asyncio.TimerHandle | None]"


class Gathering(Generic[Asked, Given]):
    """Runs `serve` for the first call at once; calls that arrive meanwhile form the next batch, up to `most`.

    `serve` returns one result per call, in their order, or raises for the whole batch. A call still queued
    after `patience` seconds raises Busy.
    """

    def __init__(
        self,
        serve: Callable[[list[Asked]], Awaitable[Sequence[Given]]],
        *,
        most: int = 1000,
        patience: float | None = None,
    ) -> None:
        self._serve = serve
        self._most = most
        self._patience = patience
        self._waiting: list[_Waiter[Asked, Given]] = []
        self._serving: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        return self._serving is None and not self._waiting

    async def ask(self, asked: Asked) -> Given:
        """Queue a call and return its result, from a batch that starts after this call."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Given] = loop.create_future()
        expiry = None
        if self._serving is None:
            # An empty context: log lines of a shared batch must not carry the request id of its first caller.
            self._serving = loop.create_task(self._serve_all(), context=Context())
        elif self._patience is not None:
            expiry = loop.call_later(self._patience, _send_away, waiter)
        self._waiting.append((asked, waiter, expiry))
        return await waiter

    async def _serve_all(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                for _, _, expiry in taken:
                    if expiry is not None:
                        expiry.cancel()
                # Skip calls that were cancelled or timed out while queued.
                staying = [(asked, waiter) for asked, waiter, _ in taken if not waiter.done()]
                if staying:
                    await self._serve_these(staying)
        finally:
            self._serving = None

    async def _serve_these(self, staying: "list[tuple[Asked, asyncio.Future[Given]]]") -> None:
        try:
            given = await self._serve([asked for asked, _ in staying])
        except BaseException as error:
            for _, waiter in staying:
                if not waiter.done():
                    waiter.set_exception(_own(error) if isinstance(error, Exception) else Busy())
            if not isinstance(error, Exception):
                raise
        else:
            for (_, waiter), item in zip(staying, given, strict=True):
                if not waiter.done():
                    waiter.set_result(item)


class Remembered(Generic[Given]):
    """A cached value that is slow to read: concurrent calls share one read, whose result stays valid for `seconds`.

    After a slow read it stays valid for 20 times the duration of the read, so reading takes at most 5 % of the time.
    """

    def __init__(self, read: Callable[[], Awaitable[Given]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._gathering = Gathering(self._serve)
        self._until = float("-inf")
        self._value: Given

    async def value(self) -> Given:
        return self._value if time.monotonic() < self._until else await self._gathering.ask(None)

    async def _serve(self, asking: list[None]) -> list[Given]:
        if time.monotonic() >= self._until:
            began = time.monotonic()
            self._value = await self._read()
            ended = time.monotonic()
            self._until = ended + max(self._seconds, _REST * (ended - began))
        return [self._value] * len(asking)


def _own(error: Exception) -> Exception:
    """Copy an exception, so that each caller raises its own: a shared one collects the tracebacks of all."""
    try:
        own = copy.copy(error)
    except Exception:  # not every exception can be copied: share it then
        return error
    own.__cause__ = error.__cause__
    return own.with_traceback(error.__traceback__)


def _send_away(waiter: "asyncio.Future[Given]") -> None:
    if not waiter.done():
        waiter.set_exception(Busy())
