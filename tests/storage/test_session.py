"""Deadlines of single operations: what is silent ends in time, what is only slow on our side goes on."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from algoplatform.domain.errors import Unavailable
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.postgres.transactions import abandonable, retried, transaction
from tests.support.freezing import Way, freezing

STATEMENT = 0.5
# Until an operation without an answer ends; the machine may have other things to do.
ENDS = STATEMENT + 1 + 2
Operation = Callable[[Connection, Way], Awaitable[object]]
LONG = "SELECT repeat('x', 1000) FROM generate_series(1, 30000)"


@pytest.fixture
async def way(database_url: str) -> AsyncIterator[Way]:
    """A way that can go silent."""
    async with freezing(database_url) as opened:
        yield opened


@asynccontextmanager
async def pool(way: Way, size: int = 1, statement_timeout: float = STATEMENT) -> AsyncIterator[Database]:
    async with Database.open(way.dsn, size=size, statement_timeout=statement_timeout) as database:
        yield database


async def _silent_statement(connection: Connection, way: Way) -> None:
    way.freeze()
    await connection.fetchval("SELECT 1")


async def _silent_begin(connection: Connection, way: Way) -> None:
    way.freeze()
    async with transaction(connection):
        raise AssertionError


async def _silent_commit(connection: Connection, way: Way) -> None:
    async with transaction(connection):
        await connection.execute("CREATE TEMPORARY TABLE t (n integer)")
        way.freeze()


async def _silent_rollback(connection: Connection, way: Way) -> None:
    async with transaction(connection, dry_run=True):
        await connection.execute("CREATE TEMPORARY TABLE t (n integer)")
        way.freeze()


async def _silent_copy_out(connection: Connection, way: Way) -> None:
    async def write(data: bytes) -> None:
        pass

    way.freeze_after(1_000_000)
    async with abandonable(connection):
        await connection.copy_from_query(LONG, output=write)


async def _silent_copy_in(connection: Connection, way: Way) -> None:
    async def rows() -> AsyncIterator[tuple[str]]:
        while True:
            yield ("x" * 1000,)

    async with transaction(connection):
        await connection.execute("CREATE TEMPORARY TABLE t (text text) ON COMMIT DROP")
        way.freeze_after(1_000_000)
        await connection.copy_records_to_table("t", records=rows())


async def _silent_close_of_a_statement(connection: Connection, way: Way) -> None:
    for number in range(101):
        await connection.fetchval(f"SELECT {number}")
    way.freeze()
    await connection.fetchval("SELECT 102")


@pytest.mark.parametrize(
    "operation",
    [
        _silent_statement,
        _silent_begin,
        _silent_commit,
        _silent_rollback,
        _silent_copy_out,
        _silent_copy_in,
        _silent_close_of_a_statement,
    ],
    ids=lambda operation: operation.__name__[1:],
)
async def test_silence_ends(way: Way, operation: Operation) -> None:
    """Whatever runs when a connection goes silent is given up in time, and the next has another connection at once."""
    async with pool(way) as database:
        async with database.connection() as connection:
            await connection.fetchval("SELECT 1")
        began = time.monotonic()
        with pytest.raises(Unavailable):
            async with database.connection() as connection:
                await operation(connection, way)
        assert time.monotonic() - began < ENDS
        began = time.monotonic()
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
        assert time.monotonic() - began < 1
        assert database.usage() == {"open": 1, "idle": 1, "max": 1}


async def test_silence_when_somebody_goes_away(way: Way) -> None:
    """Who goes away while nothing comes does not wait for what is cancelled, and holds nothing."""
    async with pool(way, statement_timeout=60) as database:

        async def work() -> None:
            async with database.connection() as connection, transaction(connection):
                way.freeze()
                await connection.fetchval("SELECT 1")

        task = asyncio.create_task(work())
        await asyncio.sleep(0.3)
        way.freeze(also_new=True)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 5
        way.thaw()
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_closing_a_silent_pool(way: Way) -> None:
    """A pool whose connections are all silent closes in a moment all the same."""
    began = time.monotonic()
    async with pool(way, 3, statement_timeout=60) as database:
        for lease in [database.connection() for _ in range(3)]:
            # One of them is never given back.
            connection = await lease.__aenter__()
            if database.usage()["open"] < 3:
                await lease.__aexit__(None, None, None)
        assert connection is not None
        way.freeze(also_new=True)
    assert time.monotonic() - began < 10


async def test_others_that_said_nothing_are_not_trusted(way: Way) -> None:
    """Once a connection was silent, those that were idle all the time are dropped: nobody has to find out one by one."""
    async with pool(way, 4) as database:
        await asyncio.gather(*(_use(database) for _ in range(4)))
        assert database.usage()["open"] == 4
        way.freeze()
        with pytest.raises(Unavailable):
            await _use(database)
        began = time.monotonic()
        await asyncio.gather(*(_use(database) for _ in range(4)))
        assert time.monotonic() - began < STATEMENT


async def _use(database: Database) -> None:
    async with database.connection() as connection:
        await connection.fetchval("SELECT pg_sleep(0.05)")


async def test_a_slow_reader_is_waited_for(way: Way) -> None:
    """The time that a client takes to read what COPY gives is not the server's."""
    read = 0

    async def write(data: bytes) -> None:
        nonlocal read
        if read < 5_000_000 <= read + len(data):
            await asyncio.sleep(3)
        read += len(data)

    async with pool(way) as database, database.connection() as connection, abandonable(connection):
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.copy_from_query(LONG, output=write)
    assert read == 30000 * 1001


async def test_a_slow_source_is_waited_for(way: Way) -> None:
    """The time until the next row of a COPY is there is not the server's."""

    async def rows() -> AsyncIterator[tuple[int]]:
        yield (1,)
        await asyncio.sleep(3)
        yield (2,)

    async with pool(way) as database, database.connection() as connection, transaction(connection):
        await connection.execute("SET LOCAL statement_timeout = 0; CREATE TEMPORARY TABLE t (n integer) ON COMMIT DROP")
        await connection.copy_records_to_table("t", records=rows())
        assert await connection.fetchval("SELECT sum(n) FROM t") == 3


async def test_a_statement_out_of_time_is_cancelled(way: Way, aside: asyncpg.Connection) -> None:
    """What the server does not end by itself it is asked to end; its locks are not left to nobody."""
    async with Database.open(way.dsn, size=1, statement_timeout=STATEMENT) as database:
        with pytest.raises(Unavailable):
            async with database.connection() as connection, transaction(connection):
                await connection.execute("SET LOCAL statement_timeout = 0")
                await connection.execute("LOCK TABLE image")
                await connection.execute("SELECT pg_sleep(600)")
        async with asyncio.timeout(10), aside.transaction():
            await aside.execute("LOCK TABLE image")


@pytest.mark.parametrize("prepared", [True, False], ids=["session", "pooler"])
async def test_a_lock_is_waited_for_two_seconds(database_url: str, aside: asyncpg.Connection, prepared: bool) -> None:
    """A single write, by itself or in a transaction, does not wait long for a lock; behind a pooler neither."""
    statement = "DELETE FROM idempotency_key"
    async with Database.open(database_url, prepared_statements=prepared) as database, aside.transaction():
        await aside.execute("LOCK TABLE idempotency_key")
        for number in range(2):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                async with database.connection(write=True) as connection, AsyncExitStack() as stack:
                    if number:
                        await stack.enter_async_context(transaction(connection))
                    await retried(connection, lambda: connection.execute(statement))
            assert 1.5 < time.monotonic() - began < 20
            assert database.usage()["open"] == 1


async def test_silence_behind_a_pooler(way: Way) -> None:
    """Where nothing may be asked of a session, its silence ends all the same."""
    async with Database.open(way.dsn, size=1, statement_timeout=STATEMENT, prepared_statements=False) as database:
        for _ in range(2):
            await _use(database)
            way.freeze()
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await _use(database)
            assert time.monotonic() - began < ENDS
        await _use(database)


@pytest.mark.parametrize("seconds", [0.0, 60.0])
async def test_the_kernel_looks_after_connections(way: Way, seconds: float) -> None:
    """A TCP connection to a machine that is gone ends too, also where statements may take any time."""
    async with Database.open(way.dsn, statement_timeout=seconds) as database, database.connection() as connection:
        found = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) >= 60_000


async def test_nothing_is_left_of_deadlines(database_url: str) -> None:
    """Statements in a row share a timer, none is cut off by the time of one before it, and in the end no timer is left."""
    async with Database.open(database_url, statement_timeout=2) as database, database.connection() as connection:
        for _ in range(4):
            await connection.execute("SELECT pg_sleep(1)")
        async with asyncio.timeout(20):
            while connection.deadline._timer is not None:  # noqa: ASYNC110 - a timer has no event to wait for
                await asyncio.sleep(0.05)
        assert not connection.deadline.lost
