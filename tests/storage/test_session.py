"""Deadlines of operations: a silent server ends them in time, slowness on our side does not."""

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
# Seconds until an operation without an answer ends, with a margin for a busy machine.
ENDS = STATEMENT + 1 + 2
Operation = Callable[[Connection, Way], Awaitable[object]]
LONG = "SELECT repeat('x', 1000) FROM generate_series(1, 30000)"


@pytest.fixture
async def way(database_url: str) -> AsyncIterator[Way]:
    """A relay that can go silent."""
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
    """Every operation ends in time when its connection goes silent; the next has a new connection at once."""
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
    """A task cancelled during silence does not wait for its cancel request, and holds nothing."""
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
    """A pool of silent connections closes at once."""
    began = time.monotonic()
    async with pool(way, 3, statement_timeout=60) as database:
        for lease in [database.connection() for _ in range(3)]:
            # One of them is never released.
            connection = await lease.__aenter__()
            if database.usage()["open"] < 3:
                await lease.__aexit__(None, None, None)
        assert connection is not None
        way.freeze(also_new=True)
    assert time.monotonic() - began < 10


async def test_others_that_said_nothing_are_not_trusted(way: Way) -> None:
    """Once a connection was silent, those idle since before are dropped, to spare callers a timeout each."""
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
    """The time that a client takes to read COPY data does not count against the deadline."""
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
    """The time until the next row of a COPY does not count against the deadline."""

    async def rows() -> AsyncIterator[tuple[int]]:
        yield (1,)
        await asyncio.sleep(3)
        yield (2,)

    async with pool(way) as database, database.connection() as connection, transaction(connection):
        await connection.execute("SET LOCAL statement_timeout = 0; CREATE TEMPORARY TABLE t (n integer) ON COMMIT DROP")
        await connection.copy_records_to_table("t", records=rows())
        assert await connection.fetchval("SELECT sum(n) FROM t") == 3


async def test_a_statement_out_of_time_is_cancelled(way: Way, aside: asyncpg.Connection) -> None:
    """A statement that the server does not time out itself is cancelled, which frees its locks."""
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
    """A single write waits 2 s for a lock, within a transaction or not, behind a pooler or not."""
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
    """Behind a pooler, without any session setting, silence ends as well."""
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
    """A TCP connection to a machine that is gone ends too, even without a statement timeout."""
    async with Database.open(way.dsn, statement_timeout=seconds) as database, database.connection() as connection:
        found = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) >= 60_000


async def test_nothing_is_left_of_deadlines(database_url: str) -> None:
    """Consecutive statements share a timer, none inherits an earlier deadline, and none is left over."""
    async with Database.open(database_url, statement_timeout=2) as database, database.connection() as connection:
        for _ in range(4):
            await connection.execute("SELECT pg_sleep(1)")
        async with asyncio.timeout(20):
            while connection.deadline._timer is not None:  # noqa: ASYNC110 - a timer has no event to wait for
                await asyncio.sleep(0.05)
        assert not connection.deadline.lost
