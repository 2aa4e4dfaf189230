"""Stored responses are limited in number and age, and their transactions cannot deadlock."""

import asyncio
from datetime import timedelta

import asyncpg

from algoplatform.domain.answer import Answer
from algoplatform.storage import idempotency
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.upload.staging import UPLOAD_LOCK

HOURS = 24
REFUSED = Answer(422, b"{}")
DONE = Answer(200, b"{}")
AGE = "UPDATE idempotency_key SET created_at = created_at - $1::interval"


async def _keep(connection: Connection, key: str, answer: Answer = DONE, caller: str = "a") -> bool:
    return await idempotency.keep(connection, key, caller, b"", answer, HOURS)


async def test_refusals_of_a_caller_are_bounded(database: Database, aside: asyncpg.Connection) -> None:
    """Of each caller the latest 1,000 refusals are kept; successful responses are not limited."""
    async with database.connection() as connection:
        for number in range(1200):
            await _keep(connection, f"a{number}", REFUSED)
            await _keep(connection, f"done{number}")
        await _keep(connection, "b", REFUSED, "b")
    found = await aside.fetch("SELECT caller, http_status, count(*) FROM idempotency_key GROUP BY 1, 2 ORDER BY 1, 2")
    assert list(map(tuple, found)) == [("a", 422, 1000), ("b", 422, 1), (None, 200, 1200)]
    assert await aside.fetchval("SELECT count(*) FROM idempotency_key WHERE key = 'a1199'") == 1


async def test_old_answers_are_dropped(database: Database, aside: asyncpg.Connection) -> None:
    """An expired response is not returned, its key can be reused, and other expired ones are deleted."""
    async with database.connection() as connection:
        for number in range(5):
            assert await _keep(connection, f"k{number}")
        await aside.execute(AGE, timedelta(hours=HOURS))
        assert await idempotency.find(connection, "k0", HOURS) is None
        assert await _keep(connection, "k0", REFUSED)
        assert await idempotency.find(connection, "k0", HOURS) == (b"", REFUSED)
    assert await aside.fetchval("SELECT count(*) FROM idempotency_key") == 1


async def test_old_keys_used_again_at_once(database: Database, aside: asyncpg.Connection) -> None:
    """Two requests that reuse expired keys and delete each other's do not deadlock."""
    keys = ["first", "second"]
    for _ in range(40):
        async with database.connection() as connection:
            for key in keys:
                await _keep(connection, key)
        await aside.execute(AGE, timedelta(hours=2 * HOURS))
        both = asyncio.Barrier(2)

        async def reuse(key: str, both: asyncio.Barrier = both) -> bool:
            async with database.connection() as connection, connection.transaction():
                assert await idempotency.lock(connection, key)
                await both.wait()
                return await _keep(connection, key)

        async with asyncio.timeout(30):
            assert await asyncio.gather(*map(reuse, reversed(keys))) == [True, True]


async def test_locks_of_keys_are_a_digest(database: Database) -> None:
    """A key is locked once; its lock is neither that of uploads nor PostgreSQL's own hash of the key."""
    async with database.connection() as one, database.connection() as other, one.transaction(), other.transaction():
        await one.execute(f"SELECT pg_advisory_xact_lock({UPLOAD_LOCK})")
        for key in ("algoplatform upload", "k", "键"):
            await one.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)
            assert await idempotency.lock(other, key)
            assert not await idempotency.lock(one, key)
