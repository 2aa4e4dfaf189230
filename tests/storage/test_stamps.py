"""Stamps of the database state: equal while nothing is committed, new after every commit, read in batches."""

import asyncio
from contextlib import suppress

import asyncpg

from algoplatform.domain.errors import Unavailable
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.postgres.snapshot import Stamps
from tests.support.counting import counting

WRITE = "INSERT INTO idempotency_key (key, fingerprint, http_status, headers, body) VALUES (gen_random_uuid(), '', 200, '{}', '')"


async def _write(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(WRITE)


async def test_a_stamp_lasts_until_something_is_committed(database: Database) -> None:
    """Reads keep the stamp; an insert, a delete and a rollback each change it."""
    stamps = Stamps(database)
    seen = [await stamps.now()]
    assert await stamps.now() == await stamps.now() == seen[0] != ""
    for statement in (WRITE, "DELETE FROM idempotency_key", f"DO $$BEGIN {WRITE}; RAISE EXCEPTION 'no'; END$$"):
        async with database.connection() as connection:
            with suppress(asyncpg.RaiseError):
                await connection.execute(statement)
        seen.append(await stamps.now())
    assert len(set(seen)) == len(seen)


async def test_a_stamp_is_not_older_than_its_question(database: Database) -> None:
    """A caller that asks while a query is running sees what was committed meanwhile."""
    stamps = Stamps(database)
    for _ in range(50):
        before = await stamps.now()
        first = asyncio.create_task(stamps.now())
        await _write(database)
        assert await stamps.now() != before
        await first


async def test_who_asks_at_once_is_answered_at_once(database_url: str) -> None:
    """A hundred concurrent callers share one query, or two if one was running."""
    async with counting(database_url) as counter, Database.open(counter.dsn) as database:
        stamps = Stamps(database)
        expected = await stamps.now()
        counter.reset()
        on_its_way = asyncio.create_task(stamps.now())
        await asyncio.sleep(0)
        assert await asyncio.gather(on_its_way, *(stamps.now() for _ in range(100))) == [expected] * 101
        assert counter.statements == 2


async def test_who_gives_up_takes_nobody_along(database: Database) -> None:
    """A cancelled caller does not affect the others."""
    stamps = Stamps(database)
    impatient, patient = asyncio.create_task(stamps.now()), asyncio.create_task(stamps.now())
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == await stamps.now()


async def test_without_a_database_everyone_is_told(database_url: str) -> None:
    """Without PostgreSQL all waiting callers raise Unavailable, and the next call queries again."""
    async with Database.open(database_url, size=1, timeout=2) as database:
        stamps = Stamps(database)
        async with database.connection():
            told = await asyncio.gather(*(stamps.now() for _ in range(5)), return_exceptions=True)
            assert all(isinstance(error, Unavailable) for error in told)
        assert await stamps.now()
