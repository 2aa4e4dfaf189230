"""Limits on concurrent operations: places, taken in the order of the calls."""

import asyncio
from collections import deque
from contextlib import suppress

from algoplatform.domain.errors import Busy


class Places:
    """A semaphore whose free places are taken without awaiting, by one call where asyncio's makes three.

    A call that gets no place within `patience` seconds, if given, raises Busy.
    """

    def __init__(self, number: int, patience: float | None = None) -> None:
        self._free = number
        self._patience = patience
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
        """Take a place, waiting in the order of the calls; the caller has to release it."""
        if self.take():
            return
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.append(waiter)
        # Not asyncio.timeout, which costs eight times as much.
        expiry = None if self._patience is None else loop.call_later(self._patience, _send_away, waiter)
        try:
            await waiter
        except BaseException:
            # Cancelled after the place had been handed over.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release()
            with suppress(ValueError):
                self._waiting.remove(waiter)
            raise
        finally:
            if expiry is not None:
                expiry.cancel()

    def release(self) -> None:
        """Hand the place to the call that has waited longest, so that no later call can overtake it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class Turns(Places):
    """Places for blocks of code; raises Busy if none becomes free within `patience` seconds."""

    def __init__(self, number: int, patience: float) -> None:
        super().__init__(number, patience)

    __aenter__ = Places.acquire

    async def __aexit__(self, *_: object) -> None:
        self.release()


def _send_away(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_exception(Busy())
