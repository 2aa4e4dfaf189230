"""Registers that share a transaction have separate outcomes, and do not wait for each other's locks."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import asyncpg
import pytest

from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import Busy, Unavailable
from algoplatform.domain.record.check import Rules, check_registration
from algoplatform.logs import REQUEST_ID
from algoplatform.storage.images.register import Registrar, Registration
from algoplatform.storage.images.single import Written
from algoplatform.storage.postgres.pool import Database
from tests.support.counting import counting
from tests.support.images import minimal
from tests.support.logs import Log

HOLDS_NAME = """
INSERT INTO image (image_id, image_name, image_tag, factory, algo_type, search, record)
VALUES ($1, 'algo/held', '1.0', '易华录', '1', '', '{"imageId":"' || replace($1::uuid::text, '-', '') || '"}')
"""


def _registration(name: str, needs: str | None = None, **fields: str) -> Registration:
    image = check_registration(minimal(f"algo/{name}", dependencyServiceId=needs, **fields), Rules()).image
    assert image is not None
    return Registration(TRUSTED, image, uuid4())


async def _together(registrar: Registrar, registrations: Sequence[Registration]) -> list[Written | BaseException]:
    """Register one image, and all others in the next batch."""
    first = asyncio.create_task(registrar.insert(_registration("zero")))
    await asyncio.sleep(0)
    given = await _at_once(registrar, registrations)
    await first
    return given


async def _at_once(registrar: Registrar, registrations: Sequence[Registration]) -> list[Written | BaseException]:
    return await asyncio.gather(*map(registrar.insert, registrations), return_exceptions=True)


def _versions(given: Sequence[Written | BaseException]) -> list[int | None]:
    assert all(isinstance(item, Written) for item in given), given
    return [item.version for item in given if isinstance(item, Written)]


async def test_those_at_the_same_time_are_one_statement(database_url: str) -> None:
    """A hundred concurrent registers take two statements."""
    async with counting(database_url) as counter, Database.open(counter.dsn) as database:
        registrar = Registrar(database, 5)
        await registrar.insert(_registration("warm"))
        counter.reset()
        given = await _together(registrar, [_registration(f"of-many{number}") for number in range(99)])
        assert _versions(given) == [1] * 99
        assert counter.statements == counter.round_trips == 2
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM image WHERE live") == 101


async def test_locks_are_taken_in_the_order_of_bytes(sorted_by_language: Database) -> None:
    """A batch writes, and so locks, its names and tags bytewise as an upload does, whatever the database's order."""
    given = [_registration("one", imageTag=tag) for tag in ("a", "C", "b", "B")]
    assert _versions(await _together(Registrar(sorted_by_language, 5), given)) == [1] * 4
    async with sorted_by_language.connection() as connection:
        assert await connection.fetchval("SELECT 'a' < 'B'")
        written = await connection.fetch("SELECT image_tag FROM image WHERE image_name = 'algo/one' ORDER BY ctid")
    assert [row[0] for row in written] == ["B", "C", "a", "b"]


async def test_each_has_its_own_outcome(database: Database, aside: asyncpg.Connection) -> None:
    """Missing dependencies and taken names are refused, and no other image of the batch."""
    registrar = Registrar(database, 5)
    base, model = _registration("base"), _registration("model")
    await registrar.insert(base)
    await registrar.insert(model)
    given = await _together(
        registrar,
        [
            _registration("needs-both", "algo/base:1.0,algo/model:1.0"),
            _registration("needs-missing", "algo/base:1.0,algo/none:1.0,algo/model:1.0,algo/nil:1.0"),
            _registration("base"),
            _registration("twin"),
            _registration("twin"),
            needs_one := _registration("needs-one", "algo/model:1.0"),
        ],
    )
    assert all(isinstance(item, Written) for item in given)
    both, missing, taken, *twins, one = given
    assert (both, missing, taken, one) == (
        Written(1),
        Written(None, [2, 4]),
        Written(None, existed=True),
        Written(1),
    )
    assert sorted(_versions(twins), key=str) == [1, None]
    edges = set(map(tuple, await aside.fetch("SELECT dependent_id, dependency_id FROM image_dependency")))
    assert len(edges) == 3
    assert (needs_one.image_id, model.image_id) in edges


async def test_nobody_waits_for_a_name_of_others(database: Database, aside: asyncpg.Connection) -> None:
    """A register waits for a name that an open transaction has written; the rest of its batch does not."""
    registrar = Registrar(database, 5)
    transaction = aside.transaction()
    await transaction.start()
    await aside.execute(HOLDS_NAME, uuid4())
    held = asyncio.create_task(registrar.insert(_registration("held")))
    async with asyncio.timeout(60):
        for number in range(5):
            pair = [_registration(f"free{number}{letter}") for letter in "ab"]
            assert _versions(await _at_once(registrar, pair)) == [1, 1]
    assert not held.done()
    await transaction.rollback()
    assert (await held).version == 1


async def test_many_that_wait_for_a_lock_keep_no_others_waiting(database: Database, aside: asyncpg.Connection) -> None:
    """Registers that need a locked image fail or wait among themselves; concurrent ones that need none succeed."""
    registrar = Registrar(database, 5)
    await registrar.insert(_registration("locked"))
    async with asyncio.timeout(120), aside.transaction():
        await aside.execute("SELECT FROM image WHERE image_name = 'algo/locked' FOR UPDATE")
        blocked = [
            asyncio.create_task(registrar.insert(_registration(f"blocked{number}", "algo/locked:1.0")))
            for number in range(150)
        ]
        await asyncio.sleep(0)
        assert (
            _versions(await _at_once(registrar, [_registration(f"free{number}") for number in range(30)])) == [1] * 30
        )
        given = await asyncio.gather(*blocked, return_exceptions=True)
    assert all(isinstance(item, Unavailable) for item in given)


async def test_who_waited_for_a_name_is_told_that_it_is_taken(database: Database, aside: asyncpg.Connection) -> None:
    """If the other transaction commits, the waiting register finds the name taken."""
    registrar = Registrar(database, 5)
    async with aside.transaction():
        await aside.execute(HOLDS_NAME, uuid4())
        together = asyncio.create_task(_together(registrar, [_registration("held"), _registration("free")]))
        await asyncio.sleep(0.3)
    held, free = await together
    assert isinstance(held, Written)
    assert (held.version, held.missing) == (None, ())
    assert _versions([free]) == [1]


async def test_who_waits_in_vain_is_in_the_log(database: Database, log: Log) -> None:
    """A register rejected as busy logs the reason, with its own request id."""
    registrar = Registrar(database, 0.2)
    async with database.connection(write=True), database.connection(write=True):
        first = asyncio.create_task(registrar.insert(_registration("first")))
        await asyncio.sleep(0.1)
        token = REQUEST_ID.set("second")
        with pytest.raises(Busy):
            await registrar.insert(_registration("second"))
        REQUEST_ID.reset(token)
    assert (await first).version == 1
    [told] = log.lines("register_not_served")
    assert (told["request_id"], told["patience_s"]) == ("second", 0.2)


async def test_a_fault_of_one_is_not_that_of_all(database: Database, aside: asyncpg.Connection) -> None:
    """An image that PostgreSQL rejects fails alone: the rest of its batch is written one by one."""
    await aside.execute("ALTER TABLE image ADD CONSTRAINT no_bad CHECK (image_name <> 'algo/bad')")
    names = ("good", "bad", "better")
    good, bad, better = await _together(Registrar(database, 5), [_registration(name) for name in names])
    assert isinstance(bad, asyncpg.CheckViolationError)
    assert _versions([good, better]) == [1, 1]


async def test_a_lost_connection_is_told_to_all(database: Database, aside: asyncpg.Connection) -> None:
    """A lost connection fails the whole batch without a retry, as it may be committed; the next succeeds."""
    registrar = Registrar(database, 5)
    async with aside.transaction():
        await aside.execute("LOCK TABLE image IN ACCESS EXCLUSIVE MODE")
        together = asyncio.create_task(_at_once(registrar, [_registration(f"lost{number}") for number in range(3)]))
        waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        async with asyncio.timeout(60):
            while not await aside.fetchval(waiting):
                await aside.execute("SELECT pg_stat_clear_snapshot()")
                await asyncio.sleep(0.01)
    given = await together
    assert isinstance(given[0], Unavailable)
    assert await aside.fetchval("SELECT count(*) FROM image") == sum(isinstance(item, Written) for item in given)
    assert (await registrar.insert(_registration("after"))).version == 1
