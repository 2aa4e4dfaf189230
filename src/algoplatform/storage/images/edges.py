"""Finds dependency edges that differ from what the records name.

The database function `image_link` keeps them consistent (alembic/versions/0007_edges.py). Writers call it
while they hold the row lock of the image.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from algoplatform.storage.postgres.pool import Connection

Problem: TypeAlias = Literal["unregistered", "missing", "surplus"]

_BATCH: Final = 500

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


async def drift(connection: Connection) -> AsyncIterator[Drift]:
    """Stream all differences, from one snapshot."""
    async with connection.transaction(readonly=True):
        await connection.execute("SET LOCAL statement_timeout = 0")
        async for row in connection.cursor(_DRIFT, prefetch=_BATCH):
            yield Drift(row["image"], row["reference"], row["problem"])
