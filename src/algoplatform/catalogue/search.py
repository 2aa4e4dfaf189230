"""The search use case: cached answers, answers from the database, and streams for results too large for an answer.

Only a few slow searches run at a time, which leaves connections and CPU of PostgreSQL to other requests.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

from algoplatform.catalogue.search_cache import KeptAnswers
from algoplatform.domain.answer import Answer
from algoplatform.domain.search import MAX_PAGE_SIZE, Conditions
from algoplatform.storage.postgres.batching import Gathering
from algoplatform.storage.postgres.lanes import Lanes
from algoplatform.storage.postgres.places import Turns
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.postgres.snapshot import Stamps
from algoplatform.storage.search.statements import Found, ImageSearch

Write: TypeAlias = Callable[[bytes], Awaitable[None]]
# Passes records, separated by commas, to a function, and returns their total number if that was asked for.
Stream: TypeAlias = Callable[[Write], Awaitable[int | None]]
# Builds an answer from records and their total.
Shape: TypeAlias = Callable[[list[bytes], int | None], Answer]

# Concurrent counts: at a million images, each keeps a core of PostgreSQL busy for up to 250 ms.
_COUNTS: Final = 2
# Concurrent searches for text that take longer than 0.15 s, with and without a page.
_SLOW: Final = 2
# Connections that searches for text without a page leave to other requests.
_OTHERS: Final = 2


class Searches:
    """Finds images; concurrent requests for the same page share one query.

    Some registered texts take seconds to search. A text search that turns out slow therefore gives up its place
    to others. Text searches without a page leave two connections of the pool to other requests.
    """

    def __init__(self, database: Database, size: int, patience: float) -> None:
        self._database = database
        self._search = ImageSearch()
        self._cache = KeptAnswers(Stamps(database))
        self._patience = patience
        self._counts = Turns(_COUNTS, patience)
        few = max(1, min(_SLOW, size // 4))
        slow = Turns(few, patience)
        self._texts = Lanes(database.connection, Turns(max(1, size - few - _OTHERS), patience), slow)
        self._text_pages = Lanes(database.connection, Turns(_COUNTS, patience), slow)
        self._asked: dict[str, Gathering[Conditions, Found]] = {}

    async def answer(self, conditions: Conditions, asked: bytes | str, shape: Shape) -> Answer | Stream:
        """Return the answer that `shape` builds for a search; `asked` is its key in the cache.

        Returns a stream instead if there are more than MAX_PAGE_SIZE records, or more than 4 MiB of them.
        """
        if answer := await self._cache.fresh(asked):
            return answer
        found = await self.find(conditions)
        if found.left_out or len(found.records) > MAX_PAGE_SIZE:
            return partial(self.stream, conditions, begun=found)
        answer = shape([*found.records], found.total)
        self._cache.keep(asked, found.stamp, answer)
        return answer

    async def stream(
        self, conditions: Conditions, write: Write, *, keyed: bool = False, begun: Found | None = None
    ) -> int | None:
        """Pass all records to `write`, from one snapshot; with `keyed`, each follows its id as a key.

        `begun` holds the first records and the total; both are read again if it is out of date. Returns the total.
        """
        async with self._database.connection(stream=True) as connection:
            return await self._search.copy(connection, conditions, write, keyed=keyed, begun=begun)

    def find(self, conditions: Conditions) -> Awaitable[Found]:
        """Return the records that meet the conditions, not from the cache: up to MAX_PAGE_SIZE + 1, or a page."""
        if conditions.page:
            return self._shared(conditions)

        def read(connection: Connection) -> Awaitable[Found]:
            # One record beyond the limit shows that there are more.
            return self._search.records(connection, conditions, MAX_PAGE_SIZE + 1)

        if conditions.search_condition is not None:
            return self._texts.run(read)
        return self._lent(read)

    async def _lent(self, read: Callable[[Connection], Awaitable[Found]]) -> Found:
        async with self._database.connection() as connection:
            return await read(connection)

    async def _shared(self, conditions: Conditions) -> Found:
        key = conditions.key
        gathering = self._asked.get(key)
        if gathering is None:
            gathering = self._asked[key] = Gathering(self._page, patience=self._patience)
        try:
            return await gathering.ask(conditions)
        finally:
            if gathering.idle:
                self._asked.pop(key, None)

    async def _page(self, asking: list[Conditions]) -> list[Found]:
        [conditions, *_] = asking
        read = partial(self._search.page, conditions=conditions)
        if conditions.search_condition is not None:
            return [await self._text_pages.run(read)] * len(asking)
        async with self._counts, self._database.connection() as connection:
            return [await read(connection)] * len(asking)
