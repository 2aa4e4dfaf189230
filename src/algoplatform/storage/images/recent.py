"""The times of the most recent changes, cached: finding them reads the whole table, so all viewers share one read."""

import time
from bisect import bisect_right
from datetime import datetime
from typing import Final

from algoplatform.storage.postgres.batching import Gathering
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.postgres.snapshot import Stamps

MAX_CHANGES: Final = 1000
_SECONDS: Final = 10
_RECENT: Final = f"SELECT updated_at FROM image ORDER BY updated_at DESC LIMIT {MAX_CHANGES}"


class RecentChanges:
    """Counts the images changed since a time, up to `most`; an answer may lag by 10 seconds."""

    most: Final = MAX_CHANGES

    def __init__(self, database: Database, stamps: Stamps) -> None:
        self._database = database
        self._stamps = stamps
        self._gathering = Gathering(self._read)
        self._times: list[datetime] = []
        self._stamp = ""
        self._until = float("-inf")

    async def now(self) -> datetime:
        """Return the database's time, by which changes are dated."""
        async with self._database.connection() as connection:
            now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now

    async def since(self, moment: datetime) -> int:
        """Return how many images have changed since, counting at most `most`."""
        if time.monotonic() >= self._until:
            await self._gathering.ask(None)
        return len(self._times) - bisect_right(self._times, moment)

    async def _read(self, asking: list[None]) -> list[None]:
        if time.monotonic() >= self._until:
            stamp = await self._stamps.now()
            if not stamp or stamp != self._stamp:
                async with self._database.connection() as connection:
                    rows = await connection.fetch(_RECENT)
                self._times, self._stamp = [row["updated_at"] for row in reversed(rows)], stamp
            self._until = time.monotonic() + _SECONDS
        return [None] * len(asking)
