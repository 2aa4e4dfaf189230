"""Dependency edges: looks up dependencies, links and unlinks images, and reads the edges.

An edge leads from a live image to each live image that its record names. The database function `image_link`
makes the edges of some images equal to their records (alembic/versions/0007_edges.py). Writers call it while
they hold the row lock of the image.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import asyncpg

from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.storage.postgres.pool import Connection

Problem: TypeAlias = Literal["unregistered", "missing", "surplus"]

_BATCH: Final = 500

# The live images that depend on image $1.
DEPENDENTS: Final = """
    SELECT image.image_name || ':' || image.image_tag AS reference
    FROM image_dependency
    CROSS JOIN LATERAL (SELECT image_name, image_tag FROM image WHERE image_id = dependent_id LIMIT 1) AS image
    WHERE dependency_id = $1 ORDER BY image.image_name, image.image_tag
"""

# A dependency that is no longer live yields NULL, which the table rejects. A scalar subquery is always an index
# lookup. The settings make the foreign key checks index lookups too, which are planned once instead of for each
# edge; these plans outlast the upload.
_INSERT_ALL: Final = """
SET LOCAL enable_seqscan = off;
SET LOCAL plan_cache_mode = force_generic_plan;
INSERT INTO image_dependency (dependent_id, dependency_id)
SELECT dependent_id, (SELECT image_id FROM image WHERE image_name = name AND image_tag = tag AND live)
FROM ({needed}) AS needed (dependent_id, name, tag)
"""

# In batches: one array of a million ids would have to fit into memory.
_LINK_ALL: Final = """
SELECT image_link(array_agg(image_id)) FROM (
    SELECT image_id, row_number() OVER () / 1000 AS batch FROM ({ids}) AS changed (image_id)
) AS batched GROUP BY batch
"""

_DRIFT: Final = """
SELECT image, reference, problem FROM (
    SELECT dependent.image_name || ':' || dependent.image_tag AS image, need.name || ':' || need.tag AS reference,
           CASE WHEN dependency.image_id IS NULL THEN 'unregistered' ELSE 'missing' END AS problem
    FROM image AS dependent
    CROSS JOIN LATERAL image_needs(dependent.record) AS need
    LEFT JOIN LATERAL (
        SELECT image_id FROM image WHERE image_name = need.name AND image_tag = need.tag AND live LIMIT 1
    ) AS dependency ON true
    WHERE dependent.live AND dependency.image_id IS DISTINCT FROM dependent.image_id AND NOT EXISTS (
        SELECT FROM image_dependency
        WHERE dependent_id = dependent.image_id AND dependency_id = dependency.image_id
    )
    UNION ALL
    SELECT dependent.image_name || ':' || dependent.image_tag, dependency.image_name || ':' || dependency.image_tag, 'surplus'
    FROM image_dependency
    JOIN image AS dependent ON dependent.image_id = dependent_id
    JOIN image AS dependency ON dependency.image_id = dependency_id
    WHERE NOT EXISTS (
        SELECT FROM image_needs(dependent.record) AS need
        WHERE need.name = dependency.image_name AND need.tag = dependency.image_tag
    )
) AS drift
"""


@dataclass(frozen=True, slots=True)
class Drift:
    """A difference between a record and the edges.

    `unregistered`: the record names an image that is not live. `missing`: a named image has no edge.
    `surplus`: an edge leads to an image that the record does not name.
    """

    image: str
    reference: str
    problem: Problem


def lookup(names: int, tags: int) -> str:
    """Return SQL for the positions, counted from 1, and the ids of the references that are live images.

    `names` and `tags` are the numbers of the arguments that hold the arrays.
    """
    # LIMIT forces an index lookup: the planner could choose a sequential scan for a join, and keep that plan
    # while the table grows.
    return f"""
    SELECT wanted.position, image.image_id
    FROM unnest(${names}::text[], ${tags}::text[]) WITH ORDINALITY AS wanted (name, tag, position)
    CROSS JOIN LATERAL (
        SELECT image_id FROM image WHERE image_name = wanted.name AND image_tag = wanted.tag AND live LIMIT 1
    ) AS image
"""


def link(image_id: str) -> str:
    """Return SQL that links an image, or unlinks it if it is deleted; `image_id` is SQL too."""
    return f"image_link(ARRAY[{image_id}])"


async def insert_all(connection: Connection, needed: str) -> None:
    """Link new images, given as a query for (dependent id, name, tag); faster than `link_all`.

    Raises ForeignKeyViolationError if a dependency is not registered.
    """
    try:
        await connection.execute(_INSERT_ALL.format(needed=needed))
    except asyncpg.NotNullViolationError as error:
        raise asyncpg.ForeignKeyViolationError(str(error)) from error


async def link_all(connection: Connection, ids: str) -> None:
    """Link the images of a query for ids; raise ForeignKeyViolationError if a dependency is gone by now."""
    await connection.execute(_LINK_ALL.format(ids=ids))


def names_and_tags(references: Sequence[ImageReference]) -> tuple[list[str], list[str]]:
    """Split references into the two arrays that the statements take."""
    return [str(item.name) for item in references], [str(item.tag) for item in references]


def missing_positions(references: Sequence[ImageReference], found: Sequence[int]) -> list[int]:
    """Return the positions, counted from 1, of the references that were not found."""
    return [position for position in range(1, len(references) + 1) if position not in found]


async def drift(connection: Connection) -> AsyncIterator[Drift]:
    """Stream all differences, from one snapshot."""
    async with connection.transaction(readonly=True):
        await connection.execute("SET LOCAL statement_timeout = 0")
        async for row in connection.cursor(_DRIFT, prefetch=_BATCH):
            yield Drift(row["image"], row["reference"], row["problem"])
