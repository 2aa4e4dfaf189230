"""How many images there are: to count them takes the longer the more there are, so it is done once for all who ask."""

import time
from typing import Final

from algoplatform.storage.images import single
from algoplatform.storage.postgres.batching import Gathering
from algoplatform.storage.postgres.pool import Database

_SECONDS: Final = 10


class LiveCount:
    """The number of live images, at most ten seconds old."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering = Gathering(self._count)
        self._found = 0
        self._until = float("-inf")

    async def recent(self) -> int:
        """Give the number; Unavailable where it has to be counted and cannot."""
        return self._found if time.monotonic() < self._until else await self._gathering.ask(None)

    async def _count(self, asking: list[None]) -> list[int]:
        if time.monotonic() >= self._until:
            async with self._database.connection() as connection:
                self._found = await single.count_live(connection)
            self._until = time.monotonic() + _SECONDS
        return [self._found] * len(asking)
