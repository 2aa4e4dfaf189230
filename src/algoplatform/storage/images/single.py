"""The repository of images: all statements on live images outside uploads, one round trip each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from algoplatform.domain.access import Caller
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.image import RECORD_FIELDS, Image, render_json
from algoplatform.domain.search import fold_exact, search_text
from algoplatform.storage.postgres.pool import Connection

# LIMIT forces an index lookup: the planner could choose a sequential scan for a join, and keep that plan
# while the table grows.
FOUND: Final = """
    SELECT wanted.position, image.image_id
    FROM unnest({names}::text[], {tags}::text[]) WITH ORDINALITY AS wanted (name, tag, position)
    CROSS JOIN LATERAL (
        SELECT image_id FROM image WHERE image_name = wanted.name AND image_tag = wanted.tag AND live LIMIT 1
    ) AS image
"""

# Time of the write rather than of BEGIN, as the transaction may have waited; never before the last change.
NOW: Final = "greatest(clock_timestamp(), image.updated_at)"

_UPDATE: Final = f"""
WITH found AS ({FOUND.format(names="$9", tags="$10")}),
written AS (
    UPDATE image SET
        record = image_merge(record, $4),
        factory = $5,
        algo_type = $6,
        search = $7 || CASE WHEN $4::json -> 'algoDesc' IS NULL THEN split_part(search, E'\\n', 4) ELSE '' END,
        event_type = CASE WHEN $4::json -> 'eventType' IS NULL THEN event_type
                     ELSE ($4::json ->> 'eventType')::integer END,
        incident_id = CASE WHEN $4::json -> 'incidentId' IS NULL THEN incident_id ELSE $15 END,
        useable_flag = CASE WHEN $4::json -> 'useableFlag' IS NULL THEN useable_flag
                       ELSE $4::json ->> 'useableFlag' END,
        version = version + 1,
        updated_at = {NOW},
        operation = 'update',
        actor = $13,
        request_id = $14
    WHERE image_id = $1 AND live AND image_name = $2 AND image_tag = $3
      AND ($8::bigint[] IS NULL OR version = ANY ($8))
      AND (SELECT count(*) FROM found) = cardinality($9::text[])
      AND NOT EXISTS (SELECT FROM unnest($11::text[]) AS needed WHERE record::json ->> needed IS NULL)
    RETURNING image_id, version, updated_at
)
SELECT written.version AS new_version, written.updated_at, ARRAY(SELECT position FROM found) AS found,
       CASE WHEN $12 AND written.version IS NOT NULL THEN image_link(ARRAY[written.image_id]) END AS linked,
       image.image_name, image.image_tag, image.version,
       ARRAY(SELECT needed FROM unnest($11::text[]) AS needed WHERE image.record::json ->> needed IS NULL) AS empty
FROM (VALUES (1)) AS always
LEFT JOIN image ON image.image_id = $1 AND image.live
LEFT JOIN written ON true
"""

_COMPARE: Final = """
SELECT image_name, image_tag,
       ARRAY(SELECT needed FROM unnest($2::text[]) AS needed WHERE record::json ->> needed IS NULL) AS empty
FROM image WHERE image_id = $1 AND live
"""

_DEPENDENTS: Final = """
    SELECT image.image_name || ':' || image.image_tag AS reference
    FROM image_dependency
    CROSS JOIN LATERAL (SELECT image_name, image_tag FROM image WHERE image_id = dependent_id LIMIT 1) AS image
    WHERE dependency_id = $1 ORDER BY image.image_name, image.image_tag
"""

_DELETE: Final = f"""
WITH dependents AS ({_DEPENDENTS}),
removed AS (
    UPDATE image SET live = false, version = version + 1, updated_at = {NOW}, operation = 'delete', actor = $3,
                     request_id = $4, record = replace(record, '"deleteFlag":"0"', '"deleteFlag":"1"')
    WHERE image_id = $1 AND live AND ($2::text[] IS NULL OR namespace = ANY ($2))
      AND ($5::bigint[] IS NULL OR version = ANY ($5)) AND NOT EXISTS (SELECT FROM dependents)
    RETURNING image_id
)
SELECT image.namespace, image.version, (SELECT count(*) FROM dependents) AS total,
       ARRAY(SELECT reference FROM dependents LIMIT 20) AS dependents,
       coalesce((SELECT image_link(ARRAY[image_id]) FROM removed), false) AS removed
FROM image WHERE image_id = $1 AND live
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored record: JSON in UTF-8, with the version and time for its HTTP validators."""

    record: bytes
    version: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write: `version` is None if nothing was written, and the other fields say why."""

    version: int | None
    missing: Sequence[int] = ()
    existed: bool = False
    name_and_tag: tuple[str, str] = ("", "")
    stale: bool = False
    empty: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """The outcome of a delete: the image's namespace and its dependents.

    `done`: the image was deleted. `stale`: its version is not one of those expected. `dependents` lists up to
    20 references, `total` counts all.
    """

    done: bool
    namespace: str | None
    stale: bool
    dependents: Sequence[str]
    total: int


def columns(image: Image) -> tuple[Any, ...]:
    """Return the values of the columns besides the record, in the order of the statements here."""
    return (
        image.image_name.text,
        image.image_tag.text,
        image.image_name.namespace,
        fold_exact(image.factory),
        image.algo_type,
        image.event_type,
        fold_exact(image.incident_id),
        image.useable_flag,
        search_text(image),
    )


def names_and_tags(references: Sequence[ImageReference]) -> tuple[list[str], list[str]]:
    """Split references into the two arrays that the statements take."""
    return [str(item.name) for item in references], [str(item.tag) for item in references]


def missing_positions(references: Sequence[ImageReference], found: Sequence[int]) -> list[int]:
    """Return the positions, counted from 1, of the references that were not found."""
    return [position for position in range(1, len(references) + 1) if position not in found]


async def update(
    connection: Connection,
    caller: Caller,
    image: Image,
    present: frozenset[str],
    versions: Sequence[int] | None,
    needed: Sequence[str],
) -> Written | None:
    """Update the fields that are present, if the image has one of `versions` and the fields `needed` are set.

    Return None if there is no such image.
    """
    assert image.image_id is not None
    sent = image.values()
    values = {
        name: sent.get(name) for name in RECORD_FIELDS if name in present and name not in ("imageId", "deleteFlag")
    }
    name, tag, _, factory, algo_type, _, incident_id, _, search = columns(image)
    relinks = "dependencyServiceId" in present
    needs = image.dependencies if relinks else ()
    row = await connection.fetchrow(
        _UPDATE,
        UUID(image.image_id),
        name,
        tag,
        render_json(values),
        factory,
        algo_type,
        search,
        versions,
        *names_and_tags(needs),
        needed,
        relinks,
        caller.subject,
        caller.request_id,
        incident_id,
    )
    assert row is not None
    if row["image_name"] is None:
        return None
    return Written(
        row["new_version"],
        missing_positions(needs, row["found"]),
        name_and_tag=(row["image_name"], row["image_tag"]),
        stale=versions is not None and row["version"] not in versions,
        empty=row["empty"],
    )


async def compare(connection: Connection, image_id: str, needed: Sequence[str]) -> Written | None:
    """Read what an update of this image would check, without writing; None if there is no such image."""
    row = await connection.fetchrow(_COMPARE, UUID(image_id), needed)
    return Written(None, name_and_tag=(row["image_name"], row["image_tag"]), empty=row["empty"]) if row else None


async def delete(
    connection: Connection,
    caller: Caller,
    image_id: str,
    namespaces: Collection[str] | None,
    versions: Sequence[int] | None,
) -> Removed | None:
    """Mark an image deleted, if no live image depends on it and its namespace and version match (None: any).

    Return None if there is no such image.
    """
    row = await connection.fetchrow(_DELETE, UUID(image_id), namespaces, caller.subject, caller.request_id, versions)
    if row is None:
        return None
    stale = versions is not None and row["version"] not in versions
    return Removed(row["removed"], row["namespace"], stale, row["dependents"], row["total"])


async def get(connection: Connection, image_id: str) -> Stored | None:
    """Return a live image; None if there is none."""
    row = await connection.fetchrow(
        "SELECT convert_to(record, 'UTF8') AS record, version, updated_at FROM image WHERE image_id = $1 AND live",
        UUID(image_id),
    )
    return Stored(row["record"], row["version"], row["updated_at"]) if row else None


async def find_references(connection: Connection, references: Sequence[ImageReference]) -> set[ImageReference]:
    """Return those references that are live images."""
    names, tags = names_and_tags(references)
    rows = await connection.fetch(FOUND.format(names="$1", tags="$2"), names, tags)
    return {references[row["position"] - 1] for row in rows}


async def count_live(connection: Connection) -> int:
    """Count the live images."""
    return int(await connection.fetchval("SELECT count(*) FROM image WHERE live"))
