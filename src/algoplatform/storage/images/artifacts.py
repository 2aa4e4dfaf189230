"""The last answers of registries about images, read and written for many images at once.

A write locks the images and skips deleted ones: a concurrent delete waits, and its trigger then removes the row.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from algoplatform.domain.search import Conditions
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.search.where_clause import Filter, part_of

# Key of the advisory lock of the periodic check; keys of two numbers never collide with keys of one number.
_LOCK: Final = (4_715_962, 1)
_PAGE: Final = 500

_COLUMNS: Final = "image_id, image_name, image_tag, CASE WHEN platforms IS NOT NULL THEN digest END AS known"
_ONE: Final = f"SELECT {_COLUMNS} FROM image LEFT JOIN image_artifact USING (image_id) WHERE image_id = $1 AND live"
_DUE: Final = f"""
SELECT {_COLUMNS} FROM image LEFT JOIN image_artifact USING (image_id)
WHERE live AND (image_name, image_tag) > ($1, $2)
  AND (checked_at IS NULL OR checked_at < now() - $3 * interval '1 second')
ORDER BY image_name, image_tag LIMIT {_PAGE}
"""
# An outcome without platforms keeps what is stored, but drops stored platforms of a digest other than its own.
_WRITE: Final = """
INSERT INTO image_artifact AS old (
    image_id, version, state, digest, first_digest, media_type, message, platforms, checked_at
)
SELECT image.image_id, image.version, state, digest, digest, media_type, message, platforms, now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS given (image_id, state, digest, media_type, message, platforms)
JOIN image ON image.image_id = given.image_id AND image.live
ORDER BY image.image_id FOR KEY SHARE OF image
ON CONFLICT (image_id) DO UPDATE SET
    version = EXCLUDED.version, state = EXCLUDED.state, message = EXCLUDED.message, checked_at = EXCLUDED.checked_at,
    digest = CASE WHEN EXCLUDED.platforms IS NULL THEN coalesce(EXCLUDED.digest, old.digest) ELSE EXCLUDED.digest END,
    media_type = CASE WHEN EXCLUDED.platforms IS NULL THEN old.media_type ELSE EXCLUDED.media_type END,
    platforms = CASE WHEN EXCLUDED.platforms IS NOT NULL THEN EXCLUDED.platforms
                     WHEN coalesce(EXCLUDED.digest, old.digest) IS NOT DISTINCT FROM old.digest THEN old.platforms END,
    first_digest = CASE WHEN EXCLUDED.version <> old.version THEN EXCLUDED.digest
                        ELSE coalesce(old.first_digest, EXCLUDED.digest) END
RETURNING state, digest, media_type, message, platforms, checked_at
"""
_GET: Final = """
SELECT state, digest, media_type, message, platforms, checked_at
FROM image LEFT JOIN image_artifact USING (image_id) WHERE image_id = $1 AND live
"""
# Whether the tag names another image than when this version of the record was first verified.
_MOVED: Final = "digest <> first_digest AND image_artifact.version = image.version"
# SQL for a query that includes `image`: the facts for the rules of lint as a JSON object, NULL if never verified.
FACTS: Final = f"""
'{{"state":"' || state || '","moved":' || CASE WHEN {_MOVED} THEN 'true' ELSE 'false' END
|| ',"days":' || date_part('day', now() - checked_at)
|| ',"platforms":' || coalesce(platforms, '[]') || '}}'
"""


@dataclass(frozen=True, slots=True)
class Target:
    """An image to look up in its registry, and the digest whose platforms are stored, if any."""

    image_id: str
    name: str
    tag: str
    known: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A registry's answer about an image; `platforms` is JSON, or None to keep what is stored."""

    image_id: str
    state: str
    digest: str | None = None
    media_type: str | None = None
    message: str | None = None
    platforms: str | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """The stored answer about an image; `digest` and `platforms` are the last ones seen."""

    state: str
    digest: str | None
    media_type: str | None
    message: str | None
    platforms: str | None
    checked_at: datetime


async def target(connection: Connection, image_id: str) -> Target | None:
    """Return a live image to look up; None if there is none."""
    row = await connection.fetchrow(_ONE, UUID(image_id))
    return _target(row) if row else None


async def namespaces(connection: Connection, conditions: Conditions) -> list[str | None]:
    met = Filter(conditions)
    return [
        row[0]
        for row in await connection.fetch(f"SELECT DISTINCT namespace FROM image WHERE {met.where}", *met.arguments)
    ]


async def count(connection: Connection, conditions: Conditions) -> int:
    met = Filter(conditions)
    return int(await connection.fetchval(f"SELECT {met.total}", *met.arguments))


async def page(connection: Connection, conditions: Conditions, after: Target | None) -> list[Target]:
    """Return the requested page of images or, if none is requested, the next 500 after `after`, by name and tag."""
    met = Filter(conditions)
    size, offset = part_of(conditions)
    if size is None:
        met.go_on_after(*((after.name, after.tag) if after else ("", "")))
    rows = met.rows("image_id, image_name, image_tag", size or _PAGE, offset)
    found = await connection.fetch(
        f"SELECT {_COLUMNS} FROM ({rows}) AS page LEFT JOIN image_artifact USING (image_id) ORDER BY image_name, image_tag",
        *met.arguments,
    )
    return list(map(_target, found))


async def due(connection: Connection, seconds: float, after: Target | None) -> list[Target]:
    """Return the next 500 images after `after` that were not checked within the last `seconds`."""
    start = (after.name, after.tag) if after else ("", "")
    return list(map(_target, await connection.fetch(_DUE, *start, seconds)))


async def write(connection: Connection, outcomes: Sequence[Outcome]) -> list[Artifact]:
    """Store the outcomes, and return what is now stored about the images that are still live."""
    rows = await connection.fetch(
        _WRITE,
        [UUID(each.image_id) for each in outcomes],
        *(
            [getattr(each, name) for each in outcomes]
            for name in ("state", "digest", "media_type", "message", "platforms")
        ),
    )
    return [Artifact(**row) for row in rows]


async def get(connection: Connection, image_id: str) -> tuple[bool, Artifact | None]:
    """Return whether there is such a live image, and the stored answer about it, None if it was never verified."""
    row = await connection.fetchrow(_GET, UUID(image_id))
    return row is not None, Artifact(**row) if row and row["state"] else None


async def digests(connection: Connection, image_ids: Sequence[str]) -> dict[str, str]:
    """Return the last digest seen of each of these images, by id; images missing or never verified have none."""
    return {image_id: of["digest"] for image_id, of in (await facts(connection, image_ids)).items() if of["digest"]}


async def states(connection: Connection, image_ids: Sequence[str]) -> dict[str, str]:
    """Return the states of these images by id, without images that were never verified.

    `moved` replaces `present` if the tag no longer names the image that was first seen for this version of the record.
    """
    return {
        image_id: "moved" if of["moved"] and of["state"] == "present" else of["state"]
        for image_id, of in (await facts(connection, image_ids)).items()
    }


async def facts(connection: Connection, image_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the facts for the rules of lint and the digest of each of these images, by id."""
    rows = await connection.fetch(
        f"SELECT image_id, digest, {FACTS} AS facts FROM image_artifact JOIN image USING (image_id)"
        " WHERE image_id = ANY ($1)",
        list(map(UUID, image_ids)),
    )
    return {row["image_id"].hex: json.loads(row["facts"]) | {"digest": row["digest"]} for row in rows}


@asynccontextmanager
async def sole(connection: Connection) -> AsyncIterator[bool]:
    """Yield, within a transaction, whether no other process runs the periodic check.

    The advisory lock belongs to the transaction: it works behind a transaction pooler, and ends with the connection.
    """
    async with connection.transaction():
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1, $2)", *_LOCK))


def _target(row: asyncpg.Record) -> Target:
    return Target(row["image_id"].hex, row["image_name"], row["image_tag"], row["known"])
