"""The short way of an upload: a file of nothing but new images goes by COPY straight into their table.

Whatever speaks against it (an image of that name, an id that is taken, a dependency that is missing, another upload)
ends it, and the upload begins again on the long way, by the staging table, which can tell what is wrong.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast

import asyncpg

from algoplatform.domain.access import Caller
from algoplatform.storage.database import Connection
from algoplatform.storage.images import FOUND
from algoplatform.storage.staging import UPLOAD_LOCK, StagedRow

_COLUMNS: Final = (
    *("image_id", "image_name", "image_tag", "namespace", "factory", "algo_type", "event_type", "incident_id"),
    *("useable_flag", "search", "record", "operation", "actor", "request_id"),
)
_SPOOL: Final = 1024 * 1024

_LINK: Final = """
WITH linked AS (
    INSERT INTO image_dependency (dependent_id, dependency_id)
    SELECT dependent_id, image_id FROM needed JOIN image ON image_name = name AND image_tag = tag AND live
    RETURNING 1
)
SELECT (SELECT count(*) FROM needed) = (SELECT count(*) FROM linked)
"""


class NotOnlyNew(Exception):
    """The file holds something that the short way does not take."""


@asynccontextmanager
async def refusing_conflicts() -> AsyncIterator[None]:
    """Take what PostgreSQL finds in the way as the end of the short way."""
    try:
        yield
    except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError, asyncpg.DeadlockDetectedError):
        raise NotOnlyNew from None


async def begin(connection: Connection, first: list[StagedRow]) -> None:
    """Make sure, as far as can be told beforehand, that the file is new and that no other upload is at work."""
    names, tags = [row[2] for row in first], [row[3] for row in first]
    free = await connection.fetchval(
        f"SELECT NOT EXISTS ({FOUND.format(names='$1', tags='$2')}) AND pg_try_advisory_xact_lock({UPLOAD_LOCK})",
        names,
        tags,
    )
    if not free:
        raise NotOnlyNew


async def fill(connection: Connection, caller: Caller, rows: AsyncIterator[StagedRow]) -> None:
    """Write the images, and then their dependencies, which wait in a file meanwhile."""
    await connection.execute("SET LOCAL statement_timeout = 0")
    with cast("BinaryIO", SpooledTemporaryFile(_SPOOL)) as needed:
        by = ("upload", caller.subject, caller.request_id)
        await connection.copy_records_to_table("image", records=_images(rows, by, needed), columns=_COLUMNS)
        if needed.tell():
            needed.seek(0)
            await _link(connection, needed)


async def _images(rows: AsyncIterator[StagedRow], by: tuple[Any, ...], needed: BinaryIO) -> AsyncIterator[Any]:
    async for row in rows:
        names, tags = row[12:]
        for name, tag in zip(names, tags, strict=True):
            needed.write(f"{row[1]}\t{name}\t{tag}\n".encode())
        yield (*row[1:12], *by)


async def _link(connection: Connection, needed: BinaryIO) -> None:
    await connection.execute(
        'CREATE TEMPORARY TABLE needed (dependent_id uuid, name text COLLATE "C", tag text COLLATE "C") ON COMMIT DROP'
    )
    # Neither names nor tags hold what COPY's text format would have escaped.
    await connection.copy_to_table("needed", source=needed)
    await connection.execute("ANALYZE needed")
    if not await connection.fetchval(_LINK):
        raise NotOnlyNew
