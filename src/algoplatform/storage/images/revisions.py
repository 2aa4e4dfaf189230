"""Revisions of images, the latest of which is the image's own row, and restoring one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from algoplatform.domain.access import Caller
from algoplatform.domain.record.model import Image, render
from algoplatform.domain.revision import Revision
from algoplatform.storage.images import edges
from algoplatform.storage.images.columns import CHANGING, FIXED, changed, changing, fixed
from algoplatform.storage.images.single import Written
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.schema import sql

_FIRST: Final = 8
# Bytes of records that a page of revisions may hold.
_PAGE_BYTES: Final = 4 * 1024 * 1024

_REVISIONS: Final = """
    SELECT version, operation, actor, request_id, updated_at AS made_at, record FROM image WHERE image_id = $1
    UNION ALL
    SELECT version, operation, actor, request_id, made_at, record FROM image_revision WHERE image_id = $1
"""
_COUNT: Final = f"SELECT count(*) FROM ({_REVISIONS}) AS revision"

_HISTORY: Final = f"""
WITH revision AS ({_REVISIONS})
SELECT version, operation, actor, request_id, made_at,
       CASE WHEN sum(octet_length(record)) OVER () <= {_PAGE_BYTES} THEN record END AS after,
       (SELECT count(*) FROM revision) AS total
FROM (SELECT * FROM revision ORDER BY version DESC LIMIT $2 OFFSET $3) AS page ORDER BY version DESC
"""

_STATE: Final = f"""
SELECT image.version, image.live, image.namespace, found.record
FROM image LEFT JOIN ({_REVISIONS}) AS found ON found.version = coalesce($2, image.version)
WHERE image_id = $1
"""

# OFFSET makes each subquery a lookup by the primary key, however long the planner estimates the list to be.
_SINCE: Final = """
SELECT now.version, now.record, CASE WHEN now.version = asked.version THEN now.record ELSE past.record END AS before
FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS asked (image_id, version, place)
LEFT JOIN LATERAL (
    SELECT version, record FROM image WHERE image_id = asked.image_id AND live OFFSET 0
) AS now ON true
LEFT JOIN LATERAL (
    SELECT record FROM image_revision WHERE image_id = asked.image_id AND version = asked.version OFFSET 0
) AS past ON true
ORDER BY asked.place
"""

_RESTORE: Final = f"""
WITH found AS ({edges.lookup(3, 4)}),
written AS (
    UPDATE image SET live = true, record = $7, {changed("restore", 5)},
                     {sql.assigned(CHANGING, sql.arguments(CHANGING, _FIRST + len(FIXED)))}
    WHERE image_id = $1 AND version = $2 AND {sql.same(FIXED, sql.arguments(FIXED, _FIRST))}
      AND (SELECT count(*) FROM found) = cardinality($3::text[])
    RETURNING image_id, version
)
SELECT (SELECT version FROM written) AS version, ARRAY(SELECT position FROM found) AS found,
       (SELECT {edges.link("image_id")} FROM written) AS linked
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


@dataclass(frozen=True, slots=True)
class Since:
    """The current version and record of a live image, and its record at an earlier version, None if there is none."""

    version: int
    record: str
    before: str | None


async def since(connection: Connection, asked: Sequence[tuple[str, int | None]]) -> list[Since | None]:
    """Return for each image its current record and that at the given version, in the order given; None if not live."""
    ids, versions = [UUID(image_id) for image_id, _ in asked], [version for _, version in asked]
    rows = await connection.fetch(_SINCE, ids, versions)
    return [Since(row["version"], row["record"], row["before"]) if row["record"] else None for row in rows]


async def history(connection: Connection, image_id: str, limit: int, offset: int) -> tuple[list[Revision], int]:
    """Return a page of an image's revisions, latest first, and their total number; also for deleted images.

    If the records of the page exceed 4 MiB, all of them are left out.
    """
    # One row more than the page: the record before a revision is that of the previous one.
    rows = await connection.fetch(_HISTORY, UUID(image_id), limit + 1, offset)
    total = rows[0]["total"] if rows else await connection.fetchval(_COUNT, UUID(image_id))
    before = [*(row["after"] for row in rows[1:]), None]
    return [
        Revision(
            row["version"], row["operation"], row["actor"], row["request_id"], row["made_at"], earlier, row["after"]
        )
        for row, earlier in zip(rows, before, strict=False)
    ][:limit], total


async def state(connection: Connection, image_id: str, version: int | None) -> State | None:
    """Return the image with its record at a version, the latest if None; None if there is no such image."""
    row = await connection.fetchrow(_STATE, UUID(image_id), version)
    return State(row["version"], row["live"], row["namespace"], row["record"]) if row else None


async def restore(connection: Connection, caller: Caller, image: Image, image_id: str, version: int) -> Written:
    """Restore this state of an image, if its latest version is still `version` and its dependencies are live.

    Another image may have taken the name and tag meanwhile: then nothing is written and `existed` is set.
    """
    needs = image.dependencies
    try:
        # A savepoint when the caller has a transaction open, so that a violation does not abort all of it.
        async with connection.transaction():
            row = await connection.fetchrow(
                _RESTORE,
                UUID(image_id),
                version,
                *edges.names_and_tags(needs),
                caller.subject,
                caller.request_id,
                render(image, image_id),
                *fixed(image),
                *changing(image),
            )
    except asyncpg.UniqueViolationError:
        return Written(None, existed=True)
    assert row is not None
    return Written(row["version"], edges.missing_positions(needs, row["found"]))
