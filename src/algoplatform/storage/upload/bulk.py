"""The fast path of an upload: COPY straight into the image table of an empty registry.

Any conflict rolls it back (a fault, a duplicate name or id, a missing dependency, another upload), and the
upload is retried through the staging table, which can tell what is wrong. After a rollback PostgreSQL has to
clean up indexes many times the size of the file, so the fast path is taken only if there is nothing that a
file could conflict with.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast

import asyncpg

from algoplatform.domain.access import Caller
from algoplatform.storage.images import edges
from algoplatform.storage.images.columns import CALLER, STORED
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.schema import sql
from algoplatform.storage.schema.tables import image
from algoplatform.storage.upload.staging import LARGER_BATCHES, UPLOAD_LOCK, StagedRow

_COLUMNS: Final = sql.names((*STORED, *CALLER, image.c.operation))
_NEEDED: Final = """
CREATE TEMPORARY TABLE needed (dependent_id uuid, name text COLLATE "C", tag text COLLATE "C") ON COMMIT DROP
"""
_SPOOL: Final = 1024 * 1024


class NotOnlyNew(Exception):
    """The file, or another upload, requires the staging table."""


@asynccontextmanager
async def refusing_conflicts() -> AsyncIterator[None]:
    """Raise NotOnlyNew for constraint violations and deadlocks."""
    try:
        yield
    except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError, asyncpg.DeadlockDetectedError):
        raise NotOnlyNew from None


async def is_empty(connection: Connection) -> bool:
    """Return whether the registry has never had an image."""
    return bool(await connection.fetchval("SELECT NOT EXISTS (SELECT FROM image)"))


async def begin(connection: Connection) -> None:
    """Check that the registry is still empty and no other upload is running, or raise NotOnlyNew."""
    free = await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({UPLOAD_LOCK})")
    if not free or not await is_empty(connection):
        raise NotOnlyNew


async def fill(connection: Connection, caller: Caller, rows: AsyncIterator[StagedRow]) -> None:
    """Write the images, then their dependencies, which are spooled to a file meanwhile."""
    await connection.execute(f"SET LOCAL statement_timeout = 0; {LARGER_BATCHES}")
    with cast("BinaryIO", SpooledTemporaryFile(_SPOOL)) as needed:
        by = (caller.subject, caller.request_id, "upload")
        await connection.copy_records_to_table("image", records=_images(rows, by, needed), columns=_COLUMNS)
        if needed.tell():
            needed.seek(0)
            await connection.execute(_NEEDED)
            await connection.copy_to_table("needed", source=needed)
            await edges.insert_all(connection, "SELECT * FROM needed")


async def _images(rows: AsyncIterator[StagedRow], by: tuple[Any, ...], needed: BinaryIO) -> AsyncIterator[Any]:
    async for row in rows:
        _, *stored, names, tags = row
        for name, tag in zip(names, tags, strict=True):
            # Neither contains a character that COPY would have to escape.
            needed.write(f"{stored[0]}\t{name}\t{tag}\n".encode())
        yield (*stored, *by)
