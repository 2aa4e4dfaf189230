"""The short way of an upload: into an empty registry a file goes by COPY straight into the table of images.

Whatever speaks against it (a fault, a name or id that comes twice, a dependency that is missing, another upload) ends it, and
the upload begins again on the long way, by the staging table, which can tell what is wrong. What is rolled back PostgreSQL has
to clean up, in indexes many times the file's size, so it is tried only where there is nothing that a file could conflict with.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast

import asyncpg

from algoplatform.domain.access import Caller
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.upload import staging
from algoplatform.storage.upload.staging import UPLOAD_LOCK, StagedRow

_COLUMNS: Final = (
    *("image_id", "image_name", "image_tag", "namespace", "factory", "algo_type", "event_type", "incident_id"),
    *("useable_flag", "search", "record", "operation", "actor", "request_id"),
)
_SPOOL: Final = 1024 * 1024


class NotOnlyNew(Exception):
    """The file holds something that the short way does not take."""


@asynccontextmanager
async def refusing_conflicts() -> AsyncIterator[None]:
    """Take what PostgreSQL finds in the way as the end of the short way."""
    try:
        yield
    except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError, asyncpg.DeadlockDetectedError):
        raise NotOnlyNew from None


async def is_empty(connection: Connection) -> bool:
    """Tell whether the registry has never had an image."""
    return bool(await connection.fetchval("SELECT NOT EXISTS (SELECT FROM image)"))


async def begin(connection: Connection) -> None:
    """Make sure that the registry is still empty, and that no other upload is at work."""
    free = await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({UPLOAD_LOCK})")
    if not free or not await is_empty(connection):
        raise NotOnlyNew


async def fill(connection: Connection, caller: Caller, rows: AsyncIterator[StagedRow]) -> None:
    """Write the images, and then link those that have dependencies, whose ids wait in a file meanwhile."""
    await connection.execute("SET LOCAL statement_timeout = 0")
    with cast("BinaryIO", SpooledTemporaryFile(_SPOOL)) as dependents:
        by = ("upload", caller.subject, caller.request_id)
        await connection.copy_records_to_table("image", records=_images(rows, by, dependents), columns=_COLUMNS)
        if dependents.tell():
            dependents.seek(0)
            await connection.execute("CREATE TEMPORARY TABLE dependent (image_id uuid) ON COMMIT DROP")
            await connection.copy_to_table("dependent", source=dependents)
            await staging.link(connection, "dependent")


async def _images(rows: AsyncIterator[StagedRow], by: tuple[Any, ...], dependents: BinaryIO) -> AsyncIterator[Any]:
    async for row in rows:
        if row[12]:
            dependents.write(b"%b\n" % row[1].hex.encode())
        yield (*row[1:12], *by)
