"""A time limit for each operation on a connection, which holds even if the server never answers."""

import asyncio
from math import inf
from types import TracebackType
from typing import Final

import asyncpg

# Limit in seconds for the cleanup after an interrupted operation.
TIDYING_SECONDS: Final = 1.0
_NOT_STARTED: Final = -1.0
_POLL_SECONDS: Final = 0.25


class Deadline:
    """Cancels an operation that takes longer than `limit` seconds and raises TimeoutError instead.

    Like asyncio.timeout, but the timer outlives the operation and is rescheduled only when it fires: a timer
    per statement costs several times as much as asyncpg's own work on a small one.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        # The server did not answer in time: the connection must not be used again.
        self.lost = False
        # The last operation was cancelled, so its response may still arrive.
        self.interrupted = False
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._seconds: float | None = None
        self._until = inf
        self._timer: asyncio.TimerHandle | None = None
        self._set_for = inf
        self._expired = False
        self._streaming = False

    def of(self, seconds: float | None) -> "Deadline":
        """Set the limit in seconds of the next operation; None for the default."""
        self._seconds = seconds
        return self

    def __enter__(self) -> None:
        """Start an operation; raise ConnectionDoesNotExistError if the connection is lost."""
        if self.lost:
            raise asyncpg.ConnectionDoesNotExistError("the server did not answer in time")
        seconds, self._seconds = self._seconds or self.limit, None
        if self.interrupted:
            seconds = TIDYING_SECONDS
        self._task = asyncio.current_task(self._loop)
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        if seconds is not None:
            self._until = self._loop.time() + seconds
            if self._until < self._set_for:
                self._set(self._until)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the operation; raise TimeoutError if it exceeded its limit."""
        task, self._task = self._task, None
        self._until, self._streaming = inf, False
        if self._expired:
            self._expired, self.lost = False, True
            assert task is not None
            if task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
                raise TimeoutError from error
        elif error is None:
            self.interrupted = False
        elif isinstance(error, TimeoutError):
            self.lost = True
        elif not isinstance(error, Exception):
            self.interrupted = True

    def pause(self) -> None:
        """Stop the clock while our side is busy: that time does not count against the server."""
        self._until = inf
        if not self._streaming and self.limit is not None:
            self._streaming = True
            self._set(self._loop.time() + _POLL_SECONDS)

    def restart(self) -> None:
        """Give the server the full limit again, counted from the next time the timer fires."""
        self._until = _NOT_STARTED

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._set_for = None, inf

    def _set(self, until: float) -> None:
        self.stop()
        self._timer, self._set_for = self._loop.call_at(until, self._look), until

    def _look(self) -> None:
        self._timer, self._set_for = None, inf
        if self._task is None:
            return
        now = self._loop.time()
        if self._until == _NOT_STARTED:
            self._until = now + (self.limit or inf)
        if self._until > now:
            self._set(min(self._until, now + _POLL_SECONDS) if self._streaming else self._until)
        elif not self._expired:
            self._expired = True
            self._task.cancel()
