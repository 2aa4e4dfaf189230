"""Lanes: operations that turn out slow do not keep quick ones waiting."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, Generic, TypeVar

from algoplatform.storage.postgres.places import Turns

Connection = TypeVar("Connection")
Result = TypeVar("Result")

# Seconds after which an operation counts as slow, and seconds between checks whether it can or must leave its place.
QUICK_SECONDS: Final = 0.15
_LOOK_SECONDS: Final = 0.05


class Lanes(Generic[Connection]):
    """Runs operations of unknown duration, each with a connection of its own.

    Each starts in a quick place, and moves to a slow place once it counts as slow. While no slow place is free, a
    slow operation is cancelled if another one waits for a quick place; it starts again when it gets a slow place.
    """

    def __init__(
        self, connect: Callable[[], AbstractAsyncContextManager[Connection]], quick: Turns, slow: Turns
    ) -> None:
        self._connect = connect
        self._quick = quick
        self._slow = slow
        self._loop = asyncio.get_running_loop()

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run an operation; raises Busy if it gets no place in time."""
        await self._quick.acquire()
        place = _Place(self._quick, self._slow, self._loop)
        try:
            # Waiting for a connection does not make an operation slow.
            async with self._connect() as connection:
                with place:
                    return await work(connection)
        except _PreemptedError:
            pass
        finally:
            place.held.release()
        async with self._slow, self._connect() as connection:
            return await work(connection)


class _PreemptedError(Exception):
    """The operation was cancelled to free its quick place."""


class _Place:
    """The place of an operation; within the block, the operation is moved or cancelled when it is slow."""

    __slots__ = ("_cancelling", "_is_preempted", "_loop", "_quick", "_slow", "_task", "_timer", "held")

    def __init__(self, quick: Turns, slow: Turns, loop: asyncio.AbstractEventLoop) -> None:
        self.held = self._quick = quick
        self._slow = slow
        self._loop = loop
        self._is_preempted = False

    def __enter__(self) -> None:
        # Does what asyncio.timeout does, at a third of its cost.
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._timer = self._loop.call_later(QUICK_SECONDS, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the operation; raise _PreemptedError if it was cancelled to free its place."""
        self._timer.cancel()
        if not self._is_preempted:
            return
        if self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            raise _PreemptedError from error

    def _look(self) -> None:
        if self._slow.take():
            self.held = self._slow
            self._quick.release()
        elif self._quick.is_awaited:
            self._is_preempted = True
            self._task.cancel()
        else:
            self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)
