"""Transactions: how long they wait for locks, when a write is tried again, and what becomes of one that nobody waits for any more."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

import asyncpg

from algoplatform.domain.errors import Unavailable
from algoplatform.storage.postgres.connecting import LOCK_TIMEOUT
from algoplatform.storage.postgres.pool import Connection

T = TypeVar("T")

# An upload waits for others of its kind, but not for ever.
UPLOAD_LOCK_SECONDS: Final = 120
UPLOAD_LOCK_TIMEOUT: Final = f"{UPLOAD_LOCK_SECONDS}s"


@asynccontextmanager
async def transaction(
    connection: Connection, *, dry_run: bool = False, lock_timeout: str | None = None
) -> AsyncIterator[None]:
    """Begin a transaction, or a part of one, that waits this long for a lock unless the operator says otherwise; a dry run is rolled back."""
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
        # A session without an answer to that is dropped, and what went wrong first is told.
        with suppress(OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError):
            await begun.rollback()
        raise
    await (begun.rollback() if dry_run else begun.commit())


async def retried(connection: Connection, action: Callable[[], Awaitable[T]]) -> T:
    """Run one write again when a foreign key shows that the images it saw changed while it ran."""
    for _ in range(3):
        try:
            # The session of a pooler has no lock_timeout of ours: that takes a transaction.
            if not connection.pooled and not connection.is_in_transaction():
                return await action()
            async with transaction(connection):
                return await action()
        except asyncpg.ForeignKeyViolationError:
            continue
    raise Unavailable


@asynccontextmanager
async def abandonable(connection: Connection) -> AsyncIterator[None]:
    """Begin a transaction in which a COPY is passed on to somebody who may go away: the connection goes with him.

    Where that happens at the last of the data, asyncpg cancels a COPY that has ended, and waits for ever to hear of it.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    except BaseException:
        connection.abandon()
        raise
    await transaction.commit()
