"""Searching: the statements that read many images."""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final

from algoplatform.domain.search import Conditions
from algoplatform.storage.conditions import Filter
from algoplatform.storage.database import Connection
from algoplatform.storage.sample import TextSample
from algoplatform.storage.stamps import STAMP
from algoplatform.storage.transactions import abandonable

_FILTERS: Final = 1024
_TOTALS: Final = 256

# The record as it goes out: as text the driver would decode it, only for it to be encoded again.
_BYTES: Final = "convert_to(record, 'UTF8')"

# Delimiter and quote that COPY never meets in compact JSON, so that it hands a record through as it is.
_NEVER: Final = ("\x1e", "\x1f")


# One and the same string each time: what is prepared is found by it.
@lru_cache(_FILTERS)
def _records(where: str, limit: int) -> str:
    return f"SELECT {_BYTES} FROM image WHERE {where} ORDER BY image_name, image_tag LIMIT {limit}"


class ImageSearch:
    """Reads live images by conditions, in the order of name and tag."""

    def __init__(self) -> None:
        self._sample = TextSample()
        self._filters: dict[Conditions, Filter] = {}
        self._totals: dict[Any, tuple[str, int]] = {}

    async def records(self, connection: Connection, conditions: Conditions, limit: int) -> list[bytes]:
        """Read the records that meet the conditions, `limit` at most."""
        found = await self._filter(connection, conditions)
        return [row[0] for row in await connection.fetch(_records(found.where, limit), *found.arguments)]

    async def page(self, connection: Connection, conditions: Conditions) -> tuple[list[bytes], int]:
        """Read one page of the records that meet the conditions, and count them all.

        Counting goes through every match, so a total is kept with the stamp of the state that it was counted in, and counted
        again unless this statement's own is the same: no transaction has ended since.
        """
        found = await self._filter(connection, conditions)
        key = (found.where, *map(str, found.arguments))
        stamp, total = self._totals.pop(key, ("", 0))
        # Not fetchrow: to PostgreSQL that is a cursor, for which it does not count in parallel.
        [row] = await connection.fetch(
            f"SELECT ARRAY(SELECT {_BYTES} FROM image WHERE {found.where} ORDER BY image_name, image_tag"
            f" LIMIT {found.limit} OFFSET {found.offset}), {STAMP},"
            f" CASE WHEN {STAMP} <> ${len(found.arguments) + 1} OR pg_is_in_recovery()"
            f" THEN {found.total} END",
            *found.arguments,
            stamp,
        )
        records, stamp, counted = row
        total = total if counted is None else counted
        self._totals[key] = (stamp, total)
        if len(self._totals) > _TOTALS:
            del self._totals[next(iter(self._totals))]
        return records, total

    async def copy(
        self,
        connection: Connection,
        conditions: Conditions,
        write: Callable[[bytes], Awaitable[None]],
        *,
        keyed: bool,
    ) -> None:
        """Pass the records that meet the conditions to `write`, joined by commas and keyed by id where asked, in one snapshot and constant memory."""
        found = await self._filter(connection, conditions)
        item = "'\"' || replace(image_id::text, '-', '') || '\":' || record" if keyed else "record"
        limit = f"LIMIT {found.limit} OFFSET {found.offset}" if found.limit else ""
        rows = f"SELECT ',' || {item} FROM image WHERE {found.where} ORDER BY image_name, image_tag {limit}"
        first = True

        async def without_first_comma(data: bytes) -> None:
            nonlocal first
            await write(data[1:] if first else data)
            first = False

        async with abandonable(connection):
            if not found.indexed:
                # Walking the index gives the first record at once, where a sort would first read them all.
                await connection.execute("SET LOCAL enable_sort = off; SET LOCAL statement_timeout = 0")
            await connection.copy_from_query(
                rows, *found.arguments, output=without_first_comma, format="csv", delimiter=_NEVER[0], quote=_NEVER[1]
            )

    async def _filter(self, connection: Connection, conditions: Conditions) -> Filter:
        if self._sample.is_old() and conditions.search_condition is not None:
            await self._sample.refresh(connection)
            self._filters.clear()
        found = self._filters.get(conditions)
        if found is None:
            if len(self._filters) >= _FILTERS:
                self._filters.clear()
            found = self._filters[conditions] = Filter(conditions, self._sample)
        return found
