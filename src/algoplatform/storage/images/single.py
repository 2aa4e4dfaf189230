"""The repository of images: all statements on live images outside uploads, one round trip each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column

from algoplatform.domain.access import Caller
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.model import RECORD_FIELDS, Image, render_json
from algoplatform.storage.images import edges
from algoplatform.storage.images.columns import CHANGING, changed, changing
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.schema import sql

# The stored folded algoDesc; empty if the update sends a new one.
_OLD_DESCRIPTION: Final = "CASE WHEN 'algoDesc' = ANY ($5::text[]) THEN '' ELSE split_part(search, E'\\n', 4) END"


def _updated(column: Column[Any], argument: str) -> str:
    """Return the new value of a column, which stays as it is if the update does not send its field."""
    if column.name == "search":
        return f"{argument} || {_OLD_DESCRIPTION}"
    [field] = column.info["fields"]
    return f"CASE WHEN '{field}' = ANY ($5::text[]) THEN {argument} ELSE {column.name} END"


# $4: the values that are sent, as JSON; $5: their fields.
_UPDATE: Final = f"""
WITH found AS ({edges.lookup(7, 8)}),
written AS (
    UPDATE image SET record = image_merge(record, $4), {changed("update", 11)},
                     {sql.assigned(CHANGING, map(_updated, CHANGING, sql.arguments(CHANGING, 13)))}
    WHERE image_id = $1 AND live AND image_name = $2 AND image_tag = $3
      AND ($6::bigint[] IS NULL OR version = ANY ($6))
      AND (SELECT count(*) FROM found) = cardinality($7::text[])
      AND NOT EXISTS (SELECT FROM unnest($9::text[]) AS needed WHERE record::json ->> needed IS NULL)
    RETURNING image_id, version, updated_at
)
SELECT written.version AS new_version, written.updated_at, ARRAY(SELECT position FROM found) AS found,
       CASE WHEN $10 AND written.version IS NOT NULL THEN {edges.link("written.image_id")} END AS linked,
       image.image_name, image.image_tag, image.version,
       ARRAY(SELECT needed FROM unnest($9::text[]) AS needed WHERE image.record::json ->> needed IS NULL) AS empty
FROM (VALUES (1)) AS always
LEFT JOIN image ON image.image_id = $1 AND image.live
LEFT JOIN written ON true
"""

_COMPARE: Final = """
SELECT image_name, image_tag,
       ARRAY(SELECT needed FROM unnest($2::text[]) AS needed WHERE record::json ->> needed IS NULL) AS empty
FROM image WHERE image_id = $1 AND live
"""

_DELETE: Final = f"""
WITH dependents AS ({edges.DEPENDENTS}),
removed AS (
    UPDATE image SET live = false, record = replace(record, '"deleteFlag":"0"', '"deleteFlag":"1"'),
                     {changed("delete", 4)}
    WHERE image_id = $1 AND live AND ($2::text[] IS NULL OR namespace = ANY ($2))
      AND ($3::bigint[] IS NULL OR version = ANY ($3)) AND NOT EXISTS (SELECT FROM dependents)
    RETURNING image_id
)
SELECT image.namespace, image.version, (SELECT count(*) FROM dependents) AS total,
       ARRAY(SELECT reference FROM dependents LIMIT 20) AS dependents,
       coalesce((SELECT {edges.link("image_id")} FROM removed), false) AS removed
FROM image WHERE image_id = $1 AND live
"""

_LOOKUP: Final = edges.lookup(1, 2)


# An image may have thousands of dependents: at most this many are listed.
MAX_NEIGHBOURS: Final = 50
_NEIGHBOURS: Final = f"""
SELECT needed, image_name || ':' || image_tag AS reference, replace(image_id::text, '-', '') AS image_id,
       (SELECT count(*) FROM image_dependency WHERE dependency_id = $1) AS total
FROM (
    SELECT true AS needed, dependency_id AS image_id FROM image_dependency WHERE dependent_id = $1
    UNION ALL
    (SELECT false, dependent_id FROM image_dependency WHERE dependency_id = $1 LIMIT {MAX_NEIGHBOURS})
) AS edge JOIN image USING (image_id) ORDER BY image_name, image_tag
"""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The ids, by reference, of an image's dependencies, and of up to MAX_NEIGHBOURS of its `total` dependents."""

    needs: dict[str, str]
    dependents: dict[str, str]
    total: int


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
    relinks = "dependencyServiceId" in present
    needs = image.dependencies if relinks else ()
    row = await connection.fetchrow(
        _UPDATE,
        UUID(image.image_id),
        image.image_name.text,
        image.image_tag.text,
        render_json(values),
        list(values),
        versions,
        *edges.names_and_tags(needs),
        needed,
        relinks,
        caller.subject,
        caller.request_id,
        *changing(image),
    )
    assert row is not None
    if row["image_name"] is None:
        return None
    return Written(
        row["new_version"],
        edges.missing_positions(needs, row["found"]),
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
    row = await connection.fetchrow(_DELETE, UUID(image_id), namespaces, versions, caller.subject, caller.request_id)
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


async def neighbours(connection: Connection, image_id: str) -> Neighbours:
    """Return the images that an image depends on, and those that depend on it."""
    rows = await connection.fetch(_NEIGHBOURS, UUID(image_id))
    of = {
        wanted: {row["reference"]: row["image_id"] for row in rows if row["needed"] is wanted}
        for wanted in (True, False)
    }
    return Neighbours(of[True], of[False], rows[0]["total"] if rows else 0)


async def find_references(connection: Connection, references: Sequence[ImageReference]) -> set[ImageReference]:
    if not references:
        return set()
    rows = await connection.fetch(_LOOKUP, *edges.names_and_tags(references))
    return {references[row["position"] - 1] for row in rows}


async def count_live(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM image WHERE live"))
