"""Searching: the statements that read many images."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import asyncpg

from algoplatform.domain.search import DEFAULT_PAGE_SIZE, Conditions, fold
from algoplatform.storage.bounded_cache import BoundedCache
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.postgres.snapshot import STAMP
from algoplatform.storage.postgres.transactions import abandonable
from algoplatform.storage.search.filter_indexes import KIND, has_filters, leads_of
from algoplatform.storage.search.selectivity import TextSample
from algoplatform.storage.search.where_clause import DENSE, Filter, part_of

# Size in bytes of the cache of totals: about 800 entries.
_TOTALS: Final = 1024 * 1024
# Below this many matches, reading and sorting them beats every other plan: for a page, and for a stream.
_FEW, _FEW_OF_MANY = 500, 10_000

# Size in bytes of the records that are held in memory together; more are streamed.
_HELD: Final = 4 * 1024 * 1024
# As bytes: asyncpg would decode text, only for us to encode it again.
_BYTES: Final = "convert_to(record, 'UTF8')"


@dataclass(slots=True)
class Found:
    """Records, the stamp of the snapshot they were read in, and the total number of matches if requested.

    If the records take more than 4 MiB, all of them are left out, and have to be streamed.
    """

    stamp: str
    records: list[bytes]
    total: int | None = None
    left_out: bool = False


class ImageSearch:
    """Searches live images, in the order of name and tag."""

    def __init__(self) -> None:
        self._sample = TextSample()
        self._totals: BoundedCache[tuple[str, int]] = BoundedCache(_TOTALS)

    async def records(self, connection: Connection, conditions: Conditions, most: int) -> Found:
        """Return records that meet the conditions, up to `most` or the page size, with the stamp of their snapshot."""
        way = await self._way(connection, conditions, _FEW)
        stamp, records = await _read(connection, way, min(most, conditions.page_size or most))
        return Found(stamp, records or [], left_out=records is None)

    async def page(self, connection: Connection, conditions: Conditions) -> Found:
        """Return one page of the records that meet the conditions, and the total number of matches.

        Counting reads every match, so totals are cached with the stamp of their snapshot. A total is counted
        again unless this statement has the same stamp, which means that no transaction has ended since.
        """
        assert conditions.page
        way = await self._way(connection, conditions, _FEW)
        size = conditions.page_size or DEFAULT_PAGE_SIZE
        key = f"{way.where} {way.arguments}"
        stamp, total = self._totals.take(key) or ("", 0)
        anew = f"CASE WHEN {STAMP} <> ${len(way.arguments) + 1} OR pg_is_in_recovery() THEN {way.total} END"
        offset = (conditions.page - 1) * size
        stamp, records, counted = await _read(connection, way, size, offset, f", {anew}", stamp)
        total = total if counted is None else counted
        self._totals.put(key, (stamp, total), len(stamp))
        return Found(stamp, records or [], total, left_out=records is None)

    async def copy(
        self,
        connection: Connection,
        conditions: Conditions,
        write: Callable[[bytes], Awaitable[None]],
        *,
        keyed: bool = False,
        begun: Found | None = None,
    ) -> int | None:
        """Stream all records that meet the conditions to `write`, from one snapshot and in constant memory.

        The records are separated by commas, and with `keyed` each follows its id as a key. If nothing was
        committed since `begun` was read, its records are not read again. Returns the total that belongs to
        the records, if `begun` has one.
        """
        way = await self._way(connection, conditions, _FEW_OF_MANY)
        total = begun.total if begun else None
        separator = b""

        async def separated(data: bytes) -> None:
            nonlocal separator
            if begun and begun.left_out:
                # Drop the line ends of COPY: a page has the same bytes whether it is streamed or not.
                data = data.replace(b"\n", b"")
            # Each record comes with a leading comma; drop the first.
            await write(data if separator else data[1:])
            separator = b","

        # An index scan returns the first record at once, whereas a sort would read all of them first.
        settings = ["SET LOCAL enable_sort = off"] if way.walks else []
        async with abandonable(connection, *settings):
            if begun and begun.stamp and begun.stamp == await connection.fetchval(f"SELECT {STAMP}"):
                if begun.records:
                    await separated(b"".join(b"," + record for record in begun.records))
                    way.go_on_after(*_name_and_tag(begun.records[-1]))
            elif total is not None:
                total = await connection.fetchval(f"SELECT {way.total}", *way.arguments)
            items = way.rows(_item(keyed=keyed), *part_of(conditions))
            await connection.copy_from_query(items, *way.arguments, output=separated)
        return total

    async def _way(self, connection: Connection, conditions: Conditions, few: int) -> Filter:
        """Choose a plan: the index of the most selective filter, unless another plan is better."""
        text = conditions.search_condition
        if text is not None and self._sample.is_old():
            await self._sample.refresh(connection)
        grams = [] if text is None else self._sample.choose(fold(text))
        leads = leads_of(conditions) if has_filters(conditions) and not conditions.image_id else []
        if not leads:
            return Filter(conditions, grams)
        # Text that is common among the images with this algoType and useableFlag is found by a scan in
        # result order, other text through the text index.
        walk = Filter(conditions) if text and not grams and leads[0].expression == KIND else None
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


async def _read(
    connection: Connection, way: Filter, limit: int, offset: int = 0, further: str = "", *arguments: object
) -> asyncpg.Record:
    """Read the stamp, the records (None if they take more than _HELD bytes) and the `further` columns."""
    given, prompt = (*way.arguments, *arguments), connection.prompt
    # Adding up the sizes would take as long as reading a small page. If no record exceeds its share of _HELD, all
    # of them fit. A record that does is read as NULL, and then the sizes are added up.
    average = f"CASE WHEN octet_length(record) <= {_HELD // limit} THEN {_BYTES} END"
    records = f"ARRAY({way.rows(average, limit, offset)})"
    # Not fetchrow, which uses a cursor: PostgreSQL does not run those in parallel.
    [row] = await connection.fetch(f"SELECT {STAMP}, {records}{further}", *given, timeout=prompt)
    if all(row[1]):
        return row
    held = f"SELECT CASE WHEN (SELECT sum(octet_length(record)) FROM page) <= {_HELD} THEN ARRAY(SELECT {_BYTES} FROM page) END"
    records = f"(WITH page AS MATERIALIZED ({way.rows('record', limit, offset)}) {held})"
    [row] = await connection.fetch(f"SELECT {STAMP}, {records}{further}", *given, timeout=prompt)
    return row


def _item(*, keyed: bool) -> str:
    return "',\"' || replace(image_id::text, '-', '') || '\":' || record" if keyed else "',' || record"


def _name_and_tag(record: bytes) -> tuple[str, str]:
    known = json.loads(record)
    return known["imageName"], known["imageTag"]
