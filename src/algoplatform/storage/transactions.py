"""Transactions: how long they may take, when a write is tried again, and what becomes of one that nobody waits for any more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

from algoplatform.domain.errors import Unavailable
from algoplatform.storage.database import Connection

T = TypeVar("T")


def bounded(connection: Connection) -> asyncio.Timeout:
    """Bound what commits by itself: PostgreSQL waits for a standby that is away with no regard to statement_timeout.

    Where the time is over, asyncpg cancels the wait. The write is then done, though only the primary has it.
    """
    return asyncio.timeout(getattr(connection, "write_timeout", None))


@asynccontextmanager
async def transaction(connection: Connection, *, dry_run: bool = False) -> AsyncIterator[None]:
    """Begin a transaction whose commit takes no longer than a write may; a dry run is rolled back."""
    begun = connection.transaction()
    await begun.start()
    try:
        yield
    except BaseException:
        await begun.rollback()
        raise
    async with bounded(connection):
        await (begun.rollback() if dry_run else begun.commit())


async def retried(connection: Connection, action: Callable[[], Awaitable[T]]) -> T:
    """Run one write again when a foreign key shows that the images it saw changed while it ran."""
    for _ in range(3):
        try:
            if not connection.is_in_transaction():
                async with bounded(connection):
                    return await action()
            async with connection.transaction():
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
        connection.terminate()
        raise
    await transaction.commit()
