"""The search use case.

Slow searches run few at a time, which leaves connections and CPU of PostgreSQL to other requests.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from algoplatform.domain.search import MAX_PAGE_SIZE, Conditions
from algoplatform.storage.postgres.batching import Gathering, turn
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.search.statements import Found, ImageSearch

# Concurrent counts: at a million images, each keeps a core of PostgreSQL busy for up to 250 ms.
_COUNTS: Final = 2


class Searches:
    """Finds images; concurrent requests for the same page share one query.

    A text can be built so that its search takes seconds: searches for text hold at most half of the pool.
    """

    def __init__(self, database: Database, search: ImageSearch, size: int, patience: float) -> None:
        self._database = database
        self._search = search
        self._patience = patience
        self._texts = asyncio.Semaphore(max(1, size // 2))
        self._counts = {with_text: asyncio.Semaphore(_COUNTS) for with_text in (False, True)}
        self._asked: dict[str, Gathering[Conditions, Found]] = {}

    async def find(self, conditions: Conditions) -> Found:
        """Return a page, or without `page` up to MAX_PAGE_SIZE + 1 records.

        The one beyond MAX_PAGE_SIZE shows that there are more records to stream.
        """
        if conditions.page:
            return await self._shared(conditions)
        if conditions.search_condition is None:
            return await self._records(conditions)
        async with turn(self._texts, self._patience):
            return await self._records(conditions)

    async def _records(self, conditions: Conditions) -> Found:
        async with self._database.connection() as connection:
            return await self._search.records(connection, conditions, MAX_PAGE_SIZE + 1)

    async def pass_on(self, conditions: Conditions, begun: Found, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Stream all records to `write`; `begun` holds the first of them."""
        async with self._database.connection(stream=True) as connection:
            await self._search.copy(connection, conditions, write, begun=begun)

    async def _shared(self, conditions: Conditions) -> Found:
        key = conditions.key
        gathering = self._asked.get(key)
        try:
            if gathering is not None:
                return await gathering.ask(conditions)
            # The first request runs its own query, which is cheaper; those that arrive meanwhile share one.
            gathering = self._asked[key] = Gathering(self._pages, patience=self._patience)
            return await self._page(conditions)
        finally:
            if gathering and gathering.idle:
                self._asked.pop(key, None)

    async def _pages(self, asking: list[Conditions]) -> list[Found]:
        return [await self._page(asking[0])] * len(asking)

    async def _page(self, conditions: Conditions) -> Found:
        async with (
            turn(self._counts[conditions.search_condition is not None], self._patience),
            self._database.connection() as connection,
        ):
            return await self._search.page(connection, conditions)
