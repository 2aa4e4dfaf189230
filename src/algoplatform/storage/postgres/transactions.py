"""Transactions: lock timeouts, retries of writes, and aborting a stream whose reader is gone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

import asyncpg

from algoplatform.domain.errors import Unavailable
from algoplatform.storage.postgres.connecting import LOCK_TIMEOUT
from algoplatform.storage.postgres.pool import Connection

T = TypeVar("T")

# An upload waits for other uploads, but not forever.
UPLOAD_LOCK_SECONDS: Final = 120
UPLOAD_LOCK_TIMEOUT: Final = f"{UPLOAD_LOCK_SECONDS}s"


@asynccontextmanager
async def transaction(
    connection: Connection, *, dry_run: bool = False, lock_timeout: str | None = None
) -> AsyncIterator[None]:
    """Run a block in a transaction, or a savepoint within one; a dry run is rolled back.

    `lock_timeout` applies unless the database URL sets one.
    """
    nested = connection.is_in_transaction()
    begun = connection.transaction()
    await begun.start()
    try:
        if connection.pooled and not nested:
            lock_timeout = lock_timeout or LOCK_TIMEOUT
        if lock_timeout and not connection.lock_timeout_given:
            await connection.execute(f"SET LOCAL lock_timeout = '{lock_timeout}'")
        yield
    except BaseException:
        # A session that cannot roll back is dropped; raise the original error.
        with suppress(OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError):
            await begun.rollback()
        raise
    await (begun.rollback() if dry_run else begun.commit())


async def retried(connection: Connection, action: Callable[[], Awaitable[T]]) -> T:
    """Run a write, up to three times if a foreign key violation shows that an image it read has changed."""
    for _ in range(3):
        try:
            # Behind a pooler the session lacks our lock_timeout, which then has to be set within a transaction.
            if not connection.pooled and not connection.is_in_transaction():
                return await action()
            async with transaction(connection):
                return await action()
        except asyncpg.ForeignKeyViolationError:
            continue
    raise Unavailable


@asynccontextmanager
async def abandonable(connection: Connection, *settings: str) -> AsyncIterator[None]:
    """Run a transaction with one snapshot and no time limit, which streams a COPY to a client.

    If the block fails, close the connection at once: if a client disconnects at the end of the data, asyncpg
    cancels a COPY that has already ended, and waits forever for a response.
    """
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        await connection.execute("; ".join(("SET LOCAL statement_timeout = 0", *settings)))
        yield
    except BaseException:
        connection.abandon()
        raise
    await transaction.commit()
