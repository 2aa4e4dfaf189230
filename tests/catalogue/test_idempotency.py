"""A write with an Idempotency-Key takes effect once, together with the response that repeats get."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import asyncpg
import pytest

from algoplatform.catalogue.idempotency import Writes
from algoplatform.domain.access import TRUSTED, AccessPolicy, Caller
from algoplatform.domain.errors import (
    AlgoplatformError,
    BadRequest,
    Forbidden,
    ImageNotFound,
    Repeated,
    RequestRunning,
    Unavailable,
)
from algoplatform.runtime import Runtime
from algoplatform.storage.postgres.pool import Connection
from tests.support.writes import once

HOURS = 24
STORED = "SELECT count(*) FROM idempotency_key"


@pytest.fixture
def writes(runtime: Runtime) -> Writes:
    """Writes for platform administrators."""
    return Writes(runtime.database, AccessPolicy(frozenset([1]), frozenset()), HOURS)


async def create(connection: Connection) -> int:
    """Create a table, which a rollback undoes."""
    await connection.execute("CREATE TABLE written ()")
    return 7


def refusing(error: AlgoplatformError) -> Callable[[Connection], Awaitable[int]]:
    """Return a write that raises an error."""

    async def write(_: Connection) -> int:
        raise error

    return write


async def test_without_a_key(writes: Writes, aside: asyncpg.Connection) -> None:
    """The write runs in a session of its own, and nothing is stored."""
    assert await writes.run(TRUSTED, None, create) == 7
    assert await aside.fetchval("SELECT to_regclass('written')")
    assert await aside.fetchval(STORED) == 0


async def test_a_repeat_gets_the_response(writes: Writes) -> None:
    """The first request gets the result, each repeat the response stored with it."""
    assert await writes.run(TRUSTED, once(), create) == 7
    for _ in range(2):
        with pytest.raises(Repeated) as repeated:
            await writes.run(TRUSTED, once(), create)
        assert (repeated.value.answer.http_status, repeated.value.answer.body) == (200, b"7")


async def test_a_refusal_is_a_response(writes: Writes) -> None:
    """The first request gets the error itself; repeats get its response, even when it would succeed now."""
    refusal = ImageNotFound("x")
    with pytest.raises(ImageNotFound) as refused:
        await writes.run(TRUSTED, once(), refusing(refusal))
    assert refused.value is refusal
    with pytest.raises(Repeated) as repeated:
        await writes.run(TRUSTED, once(), create)
    assert repeated.value.answer.body.decode() == refusal.message


@pytest.mark.parametrize("error", [Unavailable(), Forbidden("不可")])
async def test_not_stored(writes: Writes, aside: asyncpg.Connection, error: AlgoplatformError) -> None:
    """Neither a temporary failure nor a missing permission is stored: the key remains free."""
    with pytest.raises(type(error)):
        await writes.run(TRUSTED, once(), refusing(error))
    assert await aside.fetchval(STORED) == 0
    assert await writes.run(TRUSTED, once(), create) == 7


async def test_callers_who_may_not_write(writes: Writes, aside: asyncpg.Connection) -> None:
    """A caller without any permission to write is refused before the write runs."""
    before = await aside.fetchval("SELECT pg_current_snapshot()::text")
    with pytest.raises(Forbidden):
        await writes.run(Caller(9, frozenset()), once(), create)
    assert await aside.fetchval("SELECT pg_current_snapshot()::text") == before


async def test_another_request_with_the_key(writes: Writes) -> None:
    """A key that belongs to another request is refused."""
    await writes.run(TRUSTED, once(), create)
    with pytest.raises(BadRequest) as refused:
        await writes.run(TRUSTED, once(fingerprint=b"other"), create)
    assert not refused.value.malformed


async def test_a_request_that_still_runs(writes: Writes) -> None:
    """A second request with the key is refused while the first one runs, and leaves it alone."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(connection: Connection) -> int:
        begun.set()
        await ended.wait()
        return await create(connection)

    first = asyncio.create_task(writes.run(TRUSTED, once(), slow))
    await begun.wait()
    with pytest.raises(RequestRunning):
        await writes.run(TRUSTED, once(), create)
    ended.set()
    assert await first == 7


async def test_a_failure_rolls_back(writes: Writes, aside: asyncpg.Connection) -> None:
    """A write that fails after it has written leaves neither the write nor a response."""

    async def failing(connection: Connection) -> int:
        await create(connection)
        raise Unavailable

    with pytest.raises(Unavailable):
        await writes.run(replace(TRUSTED, subject="someone"), once(), failing)
    assert await aside.fetchval("SELECT to_regclass('written')") is None
    assert await aside.fetchval(STORED) == 0


async def test_an_answer_that_was_not_seen(writes: Writes, aside: asyncpg.Connection) -> None:
    """If another process stored a response meanwhile, this write is rolled back, to be retried."""

    async def write(connection: Connection) -> int:
        await aside.execute(
            "INSERT INTO idempotency_key (key, fingerprint, http_status, headers, body) VALUES ('k', '', 200, '{}', '')"
        )
        return await create(connection)

    with pytest.raises(RequestRunning):
        await writes.run(TRUSTED, once(), write)
    assert await aside.fetchval("SELECT to_regclass('written')") is None
