"""Limits on concurrent operations: places, taken in the order of the calls."""

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType

from algoplatform.domain.errors import Busy


class Places:
    """A semaphore whose free places are taken without awaiting: asyncio's takes three calls for one."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[asyncio.Future[None]] = deque()

    def locked(self) -> bool:
        """Return whether all places are taken."""
        return not self._free

    @property
    def is_awaited(self) -> bool:
        """Whether any call waits for a place."""
        return any(not waiter.done() for waiter in self._waiting)

    def take(self) -> bool:
        """Take a place if one is free, and return whether one was."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def acquire(self) -> None:
        """Take a place, in the order of the calls."""
        if self.take():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()
            with suppress(ValueError):
                self._waiting.remove(waiter)
            raise

    def release(self) -> None:
        """Pass a place on to the next waiting call, so that no later one can overtake it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class Turns(Places):
    """Places for blocks of code; raises Busy if none gets free within `patience` seconds."""

    def __init__(self, number: int, patience: float) -> None:
        super().__init__(number)
        self._patience = patience

    async def __aenter__(self) -> None:
        """Take a place."""
        await self.enter()

    async def enter(self) -> None:
        """Take a place, which the caller has to release."""
        if self.take():
            return
        try:
            async with asyncio.timeout(self._patience):
                await self.acquire()
        except TimeoutError:
            raise Busy from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the place back."""
        self.release()
