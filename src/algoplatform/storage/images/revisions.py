"""Revisions of images, the latest of which is the image's own row, and restoring one of them."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from algoplatform.domain.access import Caller
from algoplatform.domain.record.image import Image, render
from algoplatform.domain.revision import Revision
from algoplatform.storage.images.single import FOUND, NOW, Written, columns, missing_positions, names_and_tags
from algoplatform.storage.postgres.pool import Connection

_REVISIONS: Final = """
    SELECT version, operation, actor, request_id, updated_at AS made_at, record FROM image WHERE image_id = $1
    UNION ALL
    SELECT version, operation, actor, request_id, made_at, record FROM image_revision WHERE image_id = $1
"""

_HISTORY: Final = f"""
WITH revision AS ({_REVISIONS})
SELECT version, operation, actor, request_id, made_at, record AS after,
       (SELECT count(*) FROM revision) AS total
FROM revision ORDER BY version DESC LIMIT $2 OFFSET $3
"""

_STATE: Final = f"""
SELECT image.version, image.live, image.namespace, found.record
FROM image LEFT JOIN ({_REVISIONS}) AS found ON found.version = coalesce($2, image.version)
WHERE image_id = $1
"""

_RESTORE: Final = f"""
WITH found AS ({FOUND.format(names="$12", tags="$13")}),
written AS (
    UPDATE image SET factory = $5, algo_type = $6, event_type = $7, incident_id = $8, useable_flag = $9, search = $10,
                     record = $11, live = true, version = version + 1, updated_at = {NOW}, operation = 'restore',
                     actor = $14, request_id = $15
    WHERE image_id = $1 AND version = $16 AND image_name = $2 AND image_tag = $3 AND namespace IS NOT DISTINCT FROM $4
      AND (SELECT count(*) FROM found) = cardinality($12::text[])
    RETURNING image_id, version
)
SELECT (SELECT version FROM written) AS version, ARRAY(SELECT position FROM found) AS found,
       (SELECT image_link(ARRAY[image_id]) FROM written) AS linked
"""


@dataclass(frozen=True, slots=True)
class State:
    """An image's latest version, whether it is live, its namespace, and its record at the requested version.

    `record` is None if the image has no such version.
    """

    version: int
    live: bool
    namespace: str | None
    record: str | None


async def history(connection: Connection, image_id: str, limit: int, offset: int) -> tuple[list[Revision], int]:
    """Return a page of an image's revisions, latest first, and their number; also for deleted images."""
    # One row more than the page: the record before a revision is that of the previous one.
    rows = await connection.fetch(_HISTORY, UUID(image_id), limit + 1, offset)
    total = rows[0]["total"] if rows else await _count(connection, image_id)
    before = [*(row["after"] for row in rows[1:]), None]
    return [
        Revision(
            row["version"], row["operation"], row["actor"], row["request_id"], row["made_at"], earlier, row["after"]
        )
        for row, earlier in zip(rows, before, strict=False)
    ][:limit], total


async def _count(connection: Connection, image_id: str) -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM ({_REVISIONS}) AS revision", UUID(image_id)))


async def state(connection: Connection, image_id: str, version: int | None) -> State | None:
    """Return the image with its record at a version, the latest if None; None if there is no such image."""
    row = await connection.fetchrow(_STATE, UUID(image_id), version)
    return State(row["version"], row["live"], row["namespace"], row["record"]) if row else None


async def restore(connection: Connection, caller: Caller, image: Image, image_id: str, version: int) -> Written:
    """Restore this state of an image, if it still has the version and its dependencies are live.

    Another image may have taken the name and tag meanwhile: then nothing is written and `existed` is set.
    """
    needs = image.dependencies
    try:
        # A savepoint when the caller has a transaction open, so that a violation does not abort all of it.
        async with connection.transaction():
            row = await connection.fetchrow(
                _RESTORE,
                UUID(image_id),
                *columns(image),
                render(image, image_id),
                *names_and_tags(needs),
                caller.subject,
                caller.request_id,
                version,
            )
    except asyncpg.UniqueViolationError:
        return Written(None, existed=True)
    assert row is not None
    return Written(row["version"], missing_positions(needs, row["found"]))
