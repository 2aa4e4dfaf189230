"""Searching: the statements that read many images."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from algoplatform.domain.search import DEFAULT_PAGE_SIZE, Conditions, fold
from algoplatform.storage.bounded_cache import BoundedCache
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.postgres.snapshot import STAMP
from algoplatform.storage.postgres.transactions import abandonable
from algoplatform.storage.search.filter_indexes import leads_of
from algoplatform.storage.search.selectivity import TextSample
from algoplatform.storage.search.where_clause import DENSE, Filter

# Bytes of totals that are kept: some 800.
_TOTALS: Final = 1024 * 1024
# Fewer images are read and sorted sooner than found by another way: for a page, and for an answer of any length.
_FEW, _FEW_OF_MANY = 500, 10_000

# The record as it goes out: as text the driver would decode it, only for it to be encoded again.
_BYTES: Final = "convert_to(record, 'UTF8')"

# Delimiter and quote that COPY never meets in compact JSON, so that it hands a record through as it is.
_NEVER: Final = ("\x1e", "\x1f")

# Whoever reads on at the end of what they have must read in the state that they know, and for as long as they like.
_STREAMING: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = 0"


@dataclass(frozen=True, slots=True)
class Found:
    """Records, the stamp of the state that they were read in, and how many there are in all where that was asked."""

    stamp: str
    records: list[bytes]
    total: int | None = None


class ImageSearch:
    """Reads live images by conditions, in the order of name and tag."""

    def __init__(self) -> None:
        self._sample = TextSample()
        self._totals: BoundedCache[tuple[str, int]] = BoundedCache(_TOTALS)

    async def records(self, connection: Connection, conditions: Conditions, most: int) -> Found:
        """Read the records that meet the conditions, one page or `most`, with the stamp of the same snapshot."""
        way = await self._way(connection, conditions, _FEW)
        rows = way.rows(_BYTES, min(most, conditions.page_size or most))
        [row] = await connection.fetch(f"SELECT {STAMP}, ARRAY({rows})", *way.arguments, timeout=connection.prompt)
        return Found(row[0], row[1])

    async def page(self, connection: Connection, conditions: Conditions) -> Found:
        """Read one page of the records that meet the conditions, and count them all.

        Counting goes through every match, so a total is kept with the stamp of the state that it was counted in, and counted
        again unless this statement's own is the same: no transaction has ended since.
        """
        assert conditions.page
        way = await self._way(connection, conditions, _FEW)
        size = conditions.page_size or DEFAULT_PAGE_SIZE
        key = f"{way.where} {way.arguments}"
        stamp, total = self._totals.take(key) or ("", 0)
        # Not fetchrow: to PostgreSQL that is a cursor, for which it does not count in parallel.
        [row] = await connection.fetch(
            f"SELECT {STAMP}, ARRAY({way.rows(_BYTES, size, (conditions.page - 1) * size)}),"
            f" CASE WHEN {STAMP} <> ${len(way.arguments) + 1} OR pg_is_in_recovery() THEN {way.total} END",
            *way.arguments,
            stamp,
            timeout=connection.prompt,
        )
        stamp, records, counted = row
        total = total if counted is None else counted
        self._totals.put(key, (stamp, total), len(stamp))
        return Found(stamp, records, total)

    async def copy(
        self,
        connection: Connection,
        conditions: Conditions,
        write: Callable[[bytes], Awaitable[None]],
        *,
        keyed: bool = False,
        begun: Found | None = None,
    ) -> None:
        """Pass the records that meet the conditions to `write`, joined by commas and keyed by id where asked, in one snapshot and constant memory.

        Where the first are known from `begun`, and nothing was committed since, only the others are read.
        """
        way = await self._way(connection, conditions, _FEW_OF_MANY)
        separator = b""

        async def separated(data: bytes) -> None:
            nonlocal separator
            # Each record comes behind a comma, of which the first is one too many.
            await write(data if separator else data[1:])
            separator = b","

        async with abandonable(connection):
            # Walking the index gives the first record at once, where a sort would first read them all.
            await connection.execute(f"{_STREAMING}; SET LOCAL enable_sort = off" if way.walks else _STREAMING)
            if begun and begun.stamp and begun.stamp == await connection.fetchval(f"SELECT {STAMP}"):
                await separated(b"".join(b"," + record for record in begun.records))
                way.go_on_after(*_name_and_tag(begun.records[-1]))
            await connection.copy_from_query(
                way.rows(_item(keyed=keyed), *_part(conditions)),
                *way.arguments,
                output=separated,
                format="csv",
                delimiter=_NEVER[0],
                quote=_NEVER[1],
            )

    async def _way(self, connection: Connection, conditions: Conditions, few: int) -> Filter:
        """Choose how to find the images: by the index of the filter that the fewest meet, unless another way is better."""
        grams = await self._grams(connection, conditions)
        leads = [] if conditions.image_id else leads_of(conditions)
        if not leads:
            return Filter(conditions, grams)
        # Text is found by walking where it is common beside what algoType and useableFlag want, else in the index of texts.
        walk = Filter(conditions) if conditions.search_condition and not grams and not leads[0].column else None
        if not walk and not grams and len(leads) == 1 and few == _FEW:
            return Filter(conditions, (), leads[0])
        given = walk.arguments if walk else []
        counts = [lead.few(f"${number}", few) for number, lead in enumerate(leads, len(given) + 1)]
        sql = f"SELECT {walk.sampled if walk else '0'}, {', '.join(counts)}"
        [[met, *fewest]] = await connection.fetch(
            sql, *given, *(lead.value for lead in leads), timeout=connection.prompt
        )
        if min(fewest) < few or not (grams or walk or few > _FEW):
            return Filter(conditions, (), leads[fewest.index(min(fewest))])
        return Filter(conditions, grams, by_text=walk is not None and met < DENSE and few == _FEW)

    async def _grams(self, connection: Connection, conditions: Conditions) -> list[str]:
        if conditions.search_condition is None:
            return []
        if self._sample.is_old():
            await self._sample.refresh(connection)
        return self._sample.choose(fold(conditions.search_condition))


def _item(*, keyed: bool) -> str:
    return "',\"' || replace(image_id::text, '-', '') || '\":' || record" if keyed else "',' || record"


def _part(conditions: Conditions) -> tuple[int | None, int]:
    """Tell how many images a page has, if one is asked for, and how many come before it."""
    size = conditions.page_size or (DEFAULT_PAGE_SIZE if conditions.page else None)
    return size, (conditions.page - 1) * size if conditions.page and size else 0


def _name_and_tag(record: bytes) -> tuple[str, str]:
    known = json.loads(record)
    return known["imageName"], known["imageTag"]
