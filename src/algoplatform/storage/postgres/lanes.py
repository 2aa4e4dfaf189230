"""Lanes: operations that turn out slow do not keep quick ones waiting."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, TypeVar

from algoplatform.storage.postgres.places import Turns

Connection = TypeVar("Connection")
Result = TypeVar("Result")

# Seconds after which an operation counts as slow, and between two looks at whether its place is needed.
QUICK_SECONDS: Final = 0.15
_LOOK_SECONDS: Final = 0.05


class Lanes(Generic[Connection]):
    """Runs operations whose duration nobody knows beforehand, each with a connection of its own.

    Each starts in a quick place. One that is slow moves on to a slow place. If none is free, and another
    operation waits for the quick place, it is cancelled, and starts again when it gets a slow place.
    """

    def __init__(
        self, connect: Callable[[], AbstractAsyncContextManager[Connection]], quick: Turns, slow: Turns
    ) -> None:
        self._connect = connect
        self._quick = quick
        self._slow = slow

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run an operation; raises Busy if it gets no place in time."""
        await self._quick.enter()
        place = _Place(self._quick, self._slow)
        try:
            # The wait for a connection says nothing about the operation.
            async with asyncio.timeout(None) as place.overtime, self._connect() as connection:
                with place:
                    return await work(connection)
        except TimeoutError:
            if not place.overtime.expired():
                raise
        finally:
            place.held.release()
        async with self._slow, self._connect() as connection:
            return await work(connection)


class _Place:
    """The place of an operation; within the block, the operation is moved or cancelled when it is slow."""

    __slots__ = ("_loop", "_quick", "_slow", "_timer", "held", "overtime")

    def __init__(self, quick: Turns, slow: Turns) -> None:
        self.held = self._quick = quick
        self._slow = slow
        self._loop = asyncio.get_running_loop()
        self.overtime: asyncio.Timeout

    def __enter__(self) -> None:
        self._timer = self._loop.call_later(QUICK_SECONDS, self._look)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        if self._slow.take():
            self.held = self._slow
            self._quick.release()
        elif self._quick.is_awaited:
            self.overtime.reschedule(self._loop.time())
        else:
            self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)
