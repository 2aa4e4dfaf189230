"""Reads live records for lint, each with the facts from its registry and a mark whether it meets the conditions."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

from algoplatform.domain.search import Conditions
from algoplatform.storage.images.artifacts import FACTS
from algoplatform.storage.images.graph import walk
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.postgres.transactions import abandonable
from algoplatform.storage.search.where_clause import Filter

# The mark before a record that meets the conditions; the others have `-`.
MEETS: Final = b"+"
# Separates a record from the facts from its registry; both are compact JSON.
BEFORE_FACTS: Final = b"\x1d"

# The facts that follow a record, if any. A subquery for each image costs less than a join, which sorts all records.
_FACTS: Final = f"""
coalesce((SELECT E'\\x1d' || {FACTS} FROM image_artifact WHERE image_artifact.image_id = image.image_id), '')
"""
_NAMED: Final = """
SELECT array_agg(image_id) FROM image JOIN unnest($1::text[], $2::text[]) AS named (name, tag)
    ON image_name = name AND image_tag = tag WHERE live
"""
_CLOSURE: Final = f"WITH RECURSIVE {walk('down')} SELECT '-' || record FROM down JOIN image ON image_id = id WHERE live"

Write = Callable[[bytes], Awaitable[None]]


async def copy_all(connection: Connection, conditions: Conditions, write: Write) -> None:
    """Stream all live records to `write`, one per line, in the order of name and tag, from one snapshot."""
    met = Filter(conditions)
    mark = f"CASE WHEN ({met.where}) THEN '+' ELSE '-' END" if met.arguments else "'+'"
    query = f"SELECT {mark} || record || {_FACTS} FROM image WHERE live ORDER BY image_name, image_tag"
    async with abandonable(connection):
        await connection.copy_from_query(query, *met.arguments, output=write)


async def ids_of(connection: Connection, references: Sequence[str]) -> list[UUID]:
    """Return the ids of these images, without those that are not live."""
    names, _, tags = zip(*[reference.rpartition(":") for reference in references], strict=True)
    return await connection.fetchval(_NAMED, list(names), list(tags)) or []


async def copy_closure(connection: Connection, ids: Sequence[UUID], write: Write) -> None:
    """Stream these images and all that they depend on, one per line, each after `-` and without facts."""
    if ids:
        async with abandonable(connection):
            await connection.copy_from_query(_CLOSURE, ids, output=write)
