"""Figures over the whole table, which are slow to read: callers share a read, and its result for 10 seconds.

An index on updated_at would speed them up, but slow down every update, which could not be heap-only (HOT) any more.
"""

from bisect import bisect_right
from datetime import datetime
from typing import Final

from algoplatform.storage.images import single
from algoplatform.storage.postgres.batching import Remembered
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.postgres.snapshot import Stamps

MAX_CHANGES: Final = 1000
_SECONDS: Final = 10
_RECENT: Final = f"SELECT updated_at FROM image ORDER BY updated_at DESC LIMIT {MAX_CHANGES}"


class LiveCount:
    """The number of live images, at most 10 seconds old or, if that is longer, 20 times the duration of a count."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._count = Remembered(self._read, _SECONDS)

    async def recent(self) -> int:
        """Return the number; raise Unavailable if it has to be counted and the database cannot be reached."""
        return await self._count.value()

    async def _read(self) -> int:
        async with self._database.connection() as connection:
            return await single.count_live(connection)


class RecentChanges:
    """Counts the images changed since a time, up to `most`.

    A count may lag by 10 seconds or, if that is longer, by 20 times the duration of a read.
    """

    most: Final = MAX_CHANGES

    def __init__(self, database: Database, stamps: Stamps) -> None:
        self._database = database
        self._stamps = stamps
        self._times: Remembered[list[datetime]] = Remembered(self._read, _SECONDS)
        self._known: tuple[str, list[datetime]] = ("", [])

    async def now(self) -> datetime:
        """Return the database's time, by which changes are dated."""
        async with self._database.connection() as connection:
            now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now

    async def since(self, moment: datetime) -> int:
        """Return how many images have changed since, counting at most `most`."""
        times = await self._times.value()
        return len(times) - bisect_right(times, moment)

    async def _read(self) -> list[datetime]:
        stamp = await self._stamps.now()
        if not stamp or stamp != self._known[0]:
            async with self._database.connection() as connection:
                rows = await connection.fetch(_RECENT)
            self._known = stamp, [row["updated_at"] for row in reversed(rows)]
        return self._known[1]
