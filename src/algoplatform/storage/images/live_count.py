"""The number of live images, cached: the cost of counting grows with the table, so callers share a count."""

import time
from typing import Final

from algoplatform.storage.images import single
from algoplatform.storage.postgres.batching import Gathering
from algoplatform.storage.postgres.pool import Database

_SECONDS: Final = 10


class LiveCount:
    """The number of live images, at most 10 seconds old."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering = Gathering(self._count)
        self._found = 0
        self._until = float("-inf")

    async def recent(self) -> int:
        """Return the number; raise Unavailable if it has to be counted and the database cannot be reached."""
        return self._found if time.monotonic() < self._until else await self._gathering.ask(None)

    async def _count(self, asking: list[None]) -> list[int]:
        if time.monotonic() >= self._until:
            async with self._database.connection() as connection:
                self._found = await single.count_live(connection)
            self._until = time.monotonic() + _SECONDS
        return [self._found] * len(asking)
