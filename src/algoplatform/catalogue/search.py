"""The use case of searching: what may take long is done for few at a time, so that others find PostgreSQL and a connection free."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from algoplatform.domain.errors import Busy
from algoplatform.domain.search import MAX_PAGE_SIZE, Conditions
from algoplatform.storage.postgres.batching import Gathering
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.search.statements import Found, ImageSearch

# Counting keeps a processor of PostgreSQL busy for as long as a quarter of a second at a million images.
_COUNTS: Final = 2


class Searches:
    """Finds images; those who ask for the same page at the same time get one answer.

    A text can be made to take seconds to look for, so such searches wait among themselves, and have half of the pool at most.
    """

    def __init__(self, database: Database, search: ImageSearch, size: int, patience: float) -> None:
        self._database = database
        self._search = search
        self._patience = patience
        self._texts = asyncio.Semaphore(max(1, size // 2))
        self._counts = {with_text: asyncio.Semaphore(_COUNTS) for with_text in (False, True)}
        self._asked: dict[str, Gathering[Conditions, Found]] = {}

    async def find(self, conditions: Conditions) -> Found:
        """Read a page, or all where there are no more than a page may have; one record more tells that there are."""
        if conditions.page:
            return await self._shared(conditions)
        if conditions.search_condition is None:
            return await self._records(conditions)
        async with self._turn(self._texts):
            return await self._records(conditions)

    async def _records(self, conditions: Conditions) -> Found:
        async with self._database.connection() as connection:
            return await self._search.records(connection, conditions, MAX_PAGE_SIZE + 1)

    async def pass_on(self, conditions: Conditions, begun: Found, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Pass all records to `write`, of which the first are known."""
        async with self._database.connection(stream=True) as connection:
            await self._search.copy(connection, conditions, write, begun=begun)

    async def _shared(self, conditions: Conditions) -> Found:
        key = conditions.key
        gathering = self._asked.get(key)
        try:
            if gathering is not None:
                return await gathering.ask(conditions)
            # The first reads by itself, as it costs less; those who ask meanwhile share the next reading.
            gathering = self._asked[key] = Gathering(self._pages, patience=self._patience)
            return await self._page(conditions)
        finally:
            if gathering and gathering.idle:
                self._asked.pop(key, None)

    async def _pages(self, asking: list[Conditions]) -> list[Found]:
        return [await self._page(asking[0])] * len(asking)

    async def _page(self, conditions: Conditions) -> Found:
        async with (
            self._turn(self._counts[conditions.search_condition is not None]),
            self._database.connection() as connection,
        ):
            return await self._search.page(connection, conditions)

    @asynccontextmanager
    async def _turn(self, free: asyncio.Semaphore) -> AsyncIterator[None]:
        if not free.locked():
            await free.acquire()
        else:
            try:
                async with asyncio.timeout(self._patience):
                    await free.acquire()
            except TimeoutError:
                raise Busy from None
        try:
            yield
        finally:
            free.release()
