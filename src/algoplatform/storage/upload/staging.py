"""The staging of an upload: a temporary table filled by COPY, then checks and writes of whole sets.

All of it runs in one transaction of the caller. Only one upload writes at a time, in the order of name and
tag, so that writers of several rows cannot deadlock.
"""

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Column, MetaData, Table, Text

from algoplatform.domain.access import Caller
from algoplatform.domain.faults import Code, Fault, RecordFault
from algoplatform.domain.grammar.dependencies import Dependencies
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.model import Image, render_json
from algoplatform.domain.record.partial import Readable
from algoplatform.domain.record.wording import exists_fault, label_of, missing_fault
from algoplatform.domain.uploads import OnConflict
from algoplatform.storage.images import edges
from algoplatform.storage.images.columns import CALLER, CHANGING, STORED, changed, stored
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.postgres.transactions import UPLOAD_LOCK_SECONDS
from algoplatform.storage.schema import sql

# Held by an upload while it writes, so that overlapping uploads cannot deadlock. The two-number form never
# collides with locks of a single number, which Idempotency-Keys and migrations use.
UPLOAD_LOCK: Final = "1634494319, 1"

# Position, counted from 1, at which a record's text continues after the id.
REST: Final = 46

# Nullable throughout, as invalid records have a row too.
_STAGING: Final = Table(
    "staging",
    MetaData(),
    Column("position", BigInteger),
    *(Column(column.name, column.type) for column in STORED),
    Column("dependency_names", ARRAY(Text)),
    Column("dependency_tags", ARRAY(Text)),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
_CREATE: Final = f"""
{sql.create(_STAGING)};
CREATE TEMPORARY TABLE written (image_id uuid, created boolean) ON COMMIT DROP;
SET LOCAL statement_timeout = 0;
SET LOCAL default_statistics_target = 10;
SET LOCAL enable_seqscan = on;
SET LOCAL plan_cache_mode = force_custom_plan;
"""

_REPEATED: Final = """
SELECT position, image_name, image_tag, first, count(*) OVER () AS total FROM (
    SELECT position, image_name, image_tag, min(position) OVER (PARTITION BY {key}) AS first
    FROM staging WHERE {key} IS NOT NULL
) AS grouped WHERE position <> first ORDER BY position LIMIT $1
"""

_REPEATED_NAME: Final = _REPEATED.format(key="(image_name || ':' || image_tag)")
_REPEATED_ID: Final = _REPEATED.format(key="image_id")

_MISSING: Final = """
SELECT first.*, staging.record::json ->> 'dependencyServiceId' AS listed FROM (
    SELECT position, image_name, image_tag, ordinality, count(*) OVER () AS total
    FROM staging CROSS JOIN unnest(dependency_names, dependency_tags) WITH ORDINALITY AS needed (name, tag, ordinality)
    WHERE NOT EXISTS (SELECT FROM image WHERE image_name = name AND image_tag = tag AND live)
      AND NOT EXISTS (SELECT FROM staging AS other WHERE other.image_name = name AND other.image_tag = tag)
    ORDER BY position, ordinality LIMIT $1
) AS first JOIN staging USING (position) ORDER BY position, ordinality
"""

_EXISTING: Final = """
SELECT position, image_name, image_tag, image_name || ':' || image_tag AS reference, count(*) OVER () AS total
FROM staging JOIN image USING (image_name, image_tag) WHERE live ORDER BY position LIMIT $1
"""

# An id in the file is kept only if it is free: if another image has or had it, the row gets a new id.
_MOVE_TAKEN_IDS: Final = """
UPDATE staging SET image_id = moved.fresh,
       record = overlay(record PLACING replace(moved.fresh::text, '-', '') FROM 13 FOR 32)
FROM (
    SELECT position, gen_random_uuid() AS fresh FROM staging JOIN image USING (image_id)
    WHERE NOT (image.live AND image.image_name = staging.image_name AND image.image_tag = staging.image_tag)
) AS moved WHERE staging.position = moved.position
"""

# An existing image keeps its id, also within its record.
_UPDATE: Final = f"""
DO UPDATE SET {sql.excluded(CHANGING)}, {changed("upload", 1)},
    record = overlay(excluded.record PLACING substr(image.record, 13, 32) FROM 13 FOR 32)
WHERE substr(image.record, {REST}) <> substr(excluded.record, {REST})
"""

_WRITE: Final = f"""
WITH done AS (
    INSERT INTO image ({sql.listed((*STORED, *CALLER))}, operation)
    SELECT {sql.listed(STORED)}, {", ".join(sql.arguments(CALLER, 1))}, 'upload'
    FROM staging ORDER BY image_name, image_tag
    ON CONFLICT (image_name, image_tag) WHERE live {{on_conflict}}
    RETURNING image_id, xmax = 0 AS created
), noted AS (INSERT INTO written SELECT * FROM done)
SELECT count(*) FILTER (WHERE created) AS created, count(*) FILTER (WHERE NOT created) AS updated FROM done
"""
_WRITES: Final = {
    OnConflict.UPDATE: _WRITE.format(on_conflict=_UPDATE),
    OnConflict.SKIP: _WRITE.format(on_conflict="DO NOTHING"),
    OnConflict.FAIL: _WRITE.format(on_conflict="DO NOTHING"),
}

# What the created images depend on.
_NEEDED: Final = """
SELECT image_id, name, tag
FROM staging JOIN written USING (image_id) CROSS JOIN unnest(dependency_names, dependency_tags) AS needed (name, tag)
WHERE created AND cardinality(dependency_names) > 0
"""

_COUNT: Final = f"""
SELECT count(*) FILTER (WHERE image.image_id IS NULL) AS created,
       count(*) FILTER (WHERE substr(image.record, {REST}) <> substr(staging.record, {REST})) AS updated
FROM staging LEFT JOIN image
  ON image.image_name = staging.image_name AND image.image_tag = staging.image_tag AND image.live
"""

# PostgreSQL moves new grams into the GIN index in batches; larger batches cost less per gram. It sorts a batch
# within work_mem, and splits it if work_mem is too small.
LARGER_BATCHES: Final = "SET LOCAL gin_pending_list_limit = '4MB'; SET LOCAL work_mem = '32MB'"

StagedRow = tuple[Any, ...]


def row(position: int, image: Image, image_id: str) -> StagedRow:
    return position, *stored(image, UUID(image_id)), *edges.names_and_tags(image.dependencies)


def faulty_row(position: int, image_id: str | None, said: Readable) -> StagedRow:
    """Return the staging row of an invalid record, as far as readable, to check others against it."""
    names, tags = edges.names_and_tags([item for _, item in said.needs])
    readable: dict[str, Any] = {
        "position": position,
        "image_id": UUID(image_id) if image_id else None,
        "image_name": str(said.identity.name) if said.identity else None,
        "image_tag": str(said.identity.tag) if said.identity else None,
        "record": render_json({"dependencyServiceId": str(said.dependencies)}) if said.dependencies else None,
        "dependency_names": names,
        "dependency_tags": tags,
    }
    return tuple(readable.get(name) for name in sql.names(_STAGING.columns.values()))


async def fill(connection: Connection, rows: AsyncIterator[StagedRow]) -> None:
    """Create the staging table and stream the rows into it."""
    await connection.execute(_CREATE)
    await connection.copy_records_to_table("staging", records=rows)
    # Autovacuum skips temporary tables, and a plan made for few rows practically never finishes with many.
    # The columns that the checks join and group by suffice: analyzing all columns takes as long as the checks.
    await connection.execute("ANALYZE staging (image_id, image_name, image_tag)")


async def faults(connection: Connection, on_conflict: OnConflict, limit: int) -> tuple[list[RecordFault], int]:
    """Return the faults between records and with the registry: `limit` of each kind, and the total."""
    found: list[RecordFault] = []
    total = 0
    checks = [(_REPEATED_NAME, _repeated), (_REPEATED_ID, _repeated_id), (_MISSING, _missing)]
    if on_conflict is OnConflict.FAIL:
        checks.append((_EXISTING, lambda row: exists_fault(row["reference"])))
    for query, fault_of in checks:
        rows = await connection.fetch(query, limit)
        for row in rows:
            label = label_of(row["position"], row["image_name"], row["image_tag"])
            found.append(RecordFault(row["position"], label, fault_of(row)))
        total += rows[0]["total"] if rows else 0
    return found, total


async def count(connection: Connection, on_conflict: OnConflict) -> tuple[int, int]:
    """Count what `write` would create and update, without writing."""
    found = await connection.fetchrow(_COUNT)
    assert found is not None
    return found["created"], found["updated"] if on_conflict is OnConflict.UPDATE else 0


async def lock(connection: Connection) -> None:
    """Wait for all other uploads to finish writing."""
    await connection.execute(f"SELECT pg_advisory_xact_lock({UPLOAD_LOCK})", timeout=UPLOAD_LOCK_SECONDS + 1)


async def write(connection: Connection, caller: Caller, on_conflict: OnConflict) -> tuple[int, int]:
    """Write the staged images, and return the numbers created and updated; the caller holds `lock`."""
    await connection.execute(LARGER_BATCHES)
    await connection.execute(_MOVE_TAKEN_IDS)
    done = await connection.fetchrow(_WRITES[on_conflict], caller.subject, caller.request_id)
    assert done is not None
    return done["created"], done["updated"]


async def link(connection: Connection) -> None:
    """Link the written images; raise ForeignKeyViolationError if a dependency is gone by now."""
    await edges.link_all(connection, "SELECT image_id FROM written WHERE NOT created")
    await edges.insert_all(connection, _NEEDED)


def _repeated(row: Any) -> Fault:
    return Fault("imageName", Code.IMAGE_EXISTS, f"文件中重复：与第{row['first']}条记录的镜像名和标签相同")


def _repeated_id(row: Any) -> Fault:
    return Fault("imageId", Code.FIELD, f"imageId在文件中重复：与第{row['first']}条记录相同")


def _missing(row: Any) -> Fault:
    own = ImageReference.parse(f"{row['image_name']}:{row['image_tag']}") if row["image_name"] else None
    return missing_fault(*Dependencies.parse(row["listed"]).others(own)[row["ordinality"] - 1])
