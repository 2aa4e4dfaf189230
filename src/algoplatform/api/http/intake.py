"""Request bodies in flight share a budget of bytes: when it is used up, the slowest senders are rejected."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from algoplatform.domain.errors import TooManyRequests

# Seconds over which a client's rate is measured.
_WINDOW: Final = 5.0


class Intake:
    """A budget of bytes that all bodies of one kind share, per worker."""

    def __init__(self, limit: int, window: float = _WINDOW) -> None:
        self._limit = limit
        self._window = window
        self._held = 0
        self._coming: set[Reception] = set()

    @contextmanager
    def reception(self) -> Iterator["Reception"]:
        """Account for one body until the block ends."""
        reception = Reception(self, self._window)
        try:
            yield reception
        finally:
            self._release(reception)

    @asynccontextmanager
    async def receiving(self, reception: "Reception") -> AsyncIterator[None]:
        """Receive a body; raise TooManyRequests as soon as faster senders need its bytes."""
        try:
            async with asyncio.timeout(None) as reception.end:
                self._coming.add(reception)
                yield
        except TimeoutError:
            raise TooManyRequests from None
        finally:
            self._coming.discard(reception)

    def hold(self, size: int) -> None:
        """Count received bytes; reject the slowest senders if the budget is exceeded."""
        self._held += size
        if self._held <= self._limit:
            return
        # Free a little more than needed, so that the next piece does not have to do it again.
        enough = self._limit - self._limit // 16
        for reception in sorted(self._coming, key=Reception.worth):
            if self._held <= enough:
                break
            if not reception.given_way:
                self._release(reception)
                reception.given_way = True
                if reception.end is not None:
                    # Stop waiting for more of it.
                    reception.end.reschedule(_now())

    def _release(self, reception: "Reception") -> None:
        self._held -= reception.size
        reception.size = 0


class Reception:
    """One body: the bytes received and the recent rate."""

    __slots__ = ("_intake", "_last", "_marks", "_window", "end", "given_way", "size")

    def __init__(self, intake: Intake, window: float) -> None:
        self._intake = intake
        self._window = window
        self._last = _now()
        self._marks = deque([(self._last, 0)], maxlen=2)
        self.size = 0
        self.given_way = False
        self.end: asyncio.Timeout | None = None

    def take(self, size: int) -> None:
        """Count received bytes; raise TooManyRequests if they exceed the budget."""
        if not self.given_way:
            self.size += size
            self._last = _now()
            if self._last - self._marks[-1][0] >= self._window:
                self._marks.append((self._last, self.size))
            self._intake.hold(size)
        if self.given_way:
            raise TooManyRequests

    def worth(self) -> tuple[float, int]:
        """Rank bodies by how fast the client could resend them, slowest first; then the largest first."""
        now = _now()
        began, before = self._marks[0]
        rate = (self.size - before) / max(now - began, 1) if now - self._last < self._window else 0
        return rate / max(self.size, 1), -self.size


def _now() -> float:
    return asyncio.get_running_loop().time()
