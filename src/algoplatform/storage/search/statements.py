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

# Size in bytes of the cache of totals: about 800 entries.
_TOTALS: Final = 1024 * 1024
# Below this many matches, reading and sorting them beats every other plan: for a page, and for a stream.
_FEW, _FEW_OF_MANY = 500, 10_000

# As bytes: asyncpg would decode text, only for us to encode it again.
_BYTES: Final = "convert_to(record, 'UTF8')"

# Control characters, which compact JSON never contains, so that COPY outputs a record unchanged.
_NEVER: Final = ("\x1e", "\x1f")

# One snapshot for the whole stream, which continues after records read before; no time limit.
_STREAMING: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = 0"


@dataclass(frozen=True, slots=True)
class Found:
    """Records, the stamp of the snapshot they were read in, and the total number of matches if requested."""

    stamp: str
    records: list[bytes]
    total: int | None = None


class ImageSearch:
    """Searches live images, in the order of name and tag."""

    def __init__(self) -> None:
        self._sample = TextSample()
        self._totals: BoundedCache[tuple[str, int]] = BoundedCache(_TOTALS)

    async def records(self, connection: Connection, conditions: Conditions, most: int) -> Found:
        """Return up to `most` records that meet the conditions, or a page, with the stamp of the snapshot."""
        way = await self._way(connection, conditions, _FEW)
        rows = way.rows(_BYTES, min(most, conditions.page_size or most))
        [row] = await connection.fetch(f"SELECT {STAMP}, ARRAY({rows})", *way.arguments, timeout=connection.prompt)
        return Found(row[0], row[1])

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
        # Not fetchrow, which uses a cursor: PostgreSQL does not run those in parallel.
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
        """Stream all records that meet the conditions to `write`, from one snapshot and in constant memory.

        The records are separated by commas, and with `keyed` each follows its id as a key. If nothing was
        committed since `begun` was read, its records are not read again.
        """
        way = await self._way(connection, conditions, _FEW_OF_MANY)
        separator = b""

        async def separated(data: bytes) -> None:
            nonlocal separator
            # Each record comes with a leading comma; drop the first.
            await write(data if separator else data[1:])
            separator = b","

        async with abandonable(connection):
            # An index scan returns the first record at once, whereas a sort would read all of them first.
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
        """Choose a plan: the index of the most selective filter, unless another one is better."""
        grams = await self._grams(connection, conditions)
        leads = [] if conditions.image_id else leads_of(conditions)
        if not leads:
            return Filter(conditions, grams)
        # Text that is common among the images of these algoType and useableFlag is found by scanning in
        # result order, other text in the text index.
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
    """Return the page size, if any, and the number of images before the page."""
    size = conditions.page_size or (DEFAULT_PAGE_SIZE if conditions.page else None)
    return size, (conditions.page - 1) * size if conditions.page and size else 0


def _name_and_tag(record: bytes) -> tuple[str, str]:
    known = json.loads(record)
    return known["imageName"], known["imageTag"]
