"""Reads the dependency graph: the images reachable from given ones, with their edges, from one snapshot.

The recursion walks only ids, and UNION drops ids that it has visited: cycles end, and an image that many paths
reach is visited once. PostgreSQL returns the rows of a recursion breadth first, so LIMIT keeps the nearest images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from struct import Struct
from typing import Final, Literal, TypeAlias
from uuid import UUID

import asyncpg

from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.storage.images.edges import lookup, names_and_tags
from algoplatform.storage.postgres.pool import Connection

Direction: TypeAlias = Literal["down", "up", "both"]

# Images beyond the limit of an answer are counted up to this number.
COUNTED: Final = 1_000
_ID: Final = Struct("16s")
_EDGE: Final = Struct("16s16s")

# OFFSET keeps PostgreSQL from turning this into a join: each image is looked up by the index, however large the
# planner estimates the tables to be.
_STEPS: Final = {
    "down": "SELECT dependency_id AS id FROM image_dependency WHERE dependent_id = {id} OFFSET 0",
    "up": "SELECT dependent_id AS id FROM image_dependency WHERE dependency_id = {id} OFFSET 0",
}


def walk(direction: str) -> str:
    """Return a query for WITH RECURSIVE: the ids reachable from those in $1, these included."""
    return f"""{direction}(id) AS (
        SELECT unnest($1::uuid[])
        UNION
        SELECT next.id FROM {direction} CROSS JOIN LATERAL ({_STEPS[direction].format(id=f"{direction}.id")}) AS next
    )"""


# Takes the images of both directions in turn, the nearest first.
_BOTH: Final = """
    SELECT id FROM (
        (SELECT id, row_number() OVER () AS place FROM down LIMIT $3)
        UNION ALL
        (SELECT id, row_number() OVER () AS place FROM up LIMIT $3)
    ) AS reached GROUP BY id ORDER BY min(place), id LIMIT $3
"""
_REACHED: Final = {
    "down": f"WITH RECURSIVE {walk('down')}, counted AS MATERIALIZED (SELECT id FROM down LIMIT $3)",
    "up": f"WITH RECURSIVE {walk('up')}, counted AS MATERIALIZED (SELECT id FROM up LIMIT $3)",
    "both": f"WITH RECURSIVE {walk('down')}, {walk('up')}, counted AS MATERIALIZED ({_BOTH})",
}
_LISTED: Final = "WITH counted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id LIMIT $3)"

# Images are looked up in the order of their ids, so that consecutive lookups share index pages. An image that
# names itself has no edge in the table, so its record is parsed; `strpos` skips the parsing of others. The lateral
# query builds each reference once. The result is one row, with ids as bytes: a thousand rows with arrays take
# several times as long to decode.
_NODES: Final = f"""
, picked AS MATERIALIZED (SELECT id FROM (SELECT id FROM counted LIMIT $2) AS nearest ORDER BY id)
SELECT string_agg(uuid_send(picked.id), '') AS ids,
       array_agg(image.reference) AS references,
       string_agg(uuid_send(picked.id), '') FILTER (
           WHERE strpos(image.record, image.reference) > 0
             AND (SELECT count(*) FROM image_needs(image.record) AS need
                  WHERE need.name || ':' || need.tag = image.reference) > 0
       ) AS selves,
       (SELECT string_agg(uuid_send(picked.id) || uuid_send(needs.id), '')
        FROM picked CROSS JOIN LATERAL ({_STEPS["down"].format(id="picked.id")}) AS needs) AS edges,
       (SELECT count(*) FROM counted) AS reached{{records}}
FROM picked
CROSS JOIN LATERAL (
    SELECT image_name || ':' || image_tag AS reference, record, version FROM image
    WHERE image_id = picked.id AND live LIMIT 1
) AS image
"""
_RECORD_ARRAYS: Final = """,
       array_agg(convert_to(image.record, 'UTF8')) AS records,
       array_agg(image.version) AS versions"""
_WALKS: Final = {direction: text + _NODES.format(records="") for direction, text in _REACHED.items()}
_OF_IDS: Final = _LISTED + _NODES.format(records="")
_RECORDS: Final = {
    True: _REACHED["down"] + _NODES.format(records=_RECORD_ARRAYS),
    False: _LISTED + _NODES.format(records=_RECORD_ARRAYS),
}
_SIZE: Final = "SELECT coalesce(sum(octet_length(record)), 0) FROM image WHERE image_id = ANY($1) AND live"
_NEXT: Final = {
    direction: f"""
        SELECT DISTINCT next.id FROM unnest($1::uuid[]) AS given (id)
        CROSS JOIN LATERAL ({step.format(id="given.id")}) AS next ORDER BY next.id LIMIT $2
    """
    for direction, step in _STEPS.items()
}
_LIVE: Final = """
SELECT given.id FROM unnest($1::uuid[]) AS given (id)
CROSS JOIN LATERAL (SELECT FROM image WHERE image_id = given.id AND live LIMIT 1) AS image
"""


@dataclass(frozen=True, slots=True)
class Reached:
    """Live images with all edges among them, as positions (dependent, dependency).

    `total` counts all reachable images, None if there are more than COUNTED; `cut` is set if some of them are left
    out here. `records` (JSON in UTF-8) and `versions` are empty unless they were asked for.
    """

    image_ids: list[str]
    references: list[str]
    edges: list[tuple[int, int]]
    total: int | None
    cut: bool
    records: Sequence[bytes] = ()
    versions: Sequence[int] = ()


async def identify(connection: Connection, ids: Sequence[str], references: Sequence[ImageReference]) -> dict[str, str]:
    """Return the ids of the live images among these, by the given id or reference."""
    found: dict[str, str] = {}
    if ids:
        found = {row["id"].hex: row["id"].hex for row in await connection.fetch(_LIVE, list(map(UUID, ids)))}
    if references:
        rows = await connection.fetch(lookup(1, 2), *names_and_tags(references))
        found |= {str(references[row["position"] - 1]): row["image_id"].hex for row in rows}
    return found


async def reach(connection: Connection, ids: Sequence[str], direction: Direction, limit: int | None) -> Reached:
    """Return the images reachable from these, at most `limit` of them, without images that are not live."""
    counted = None if limit is None else max(limit, COUNTED) + 1
    return _reached(await connection.fetchrow(_WALKS[direction], list(map(UUID, ids)), limit, counted), limit)


async def reach_records(
    connection: Connection, ids: Sequence[str], limit: int, *, dependencies: bool = True
) -> Reached:
    """Return these images and, with `dependencies`, all that they depend on, with their records."""
    query = _RECORDS[dependencies]
    return _reached(await connection.fetchrow(query, list(map(UUID, ids)), limit, limit + 1), limit)


async def size_of(connection: Connection, ids: Sequence[str]) -> int:
    """Return the size of the records of these images in bytes."""
    size: int = await connection.fetchval(_SIZE, list(map(UUID, ids)))
    return size


async def reach_within(connection: Connection, image_id: str, direction: Direction, depth: int, limit: int) -> Reached:
    """Return the images reachable from one over at most `depth` edges; runs one statement per level."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        near, more = await _near(connection, UUID(image_id), direction, depth, limit)
        found = _reached(await connection.fetchrow(_OF_IDS, near, limit, limit + 1), limit)
        if not more:
            return found
        total = (await reach(connection, [image_id], direction, 1)).total
        return replace(found, total=total, cut=True)


async def _near(
    connection: Connection, root: UUID, direction: Direction, depth: int, limit: int
) -> tuple[list[UUID], bool]:
    """Return the nearest images breadth first, and whether there are more."""
    ways = ("down", "up") if direction == "both" else (direction,)
    seen = {way: {root} for way in ways}
    last = {way: [root] for way in ways}
    near = {root: None}
    for distance in range(depth + 1):
        for way in ways:
            # Enough rows to find more than `limit` new images even if all images seen so far are among them.
            most = limit + 1 + len(seen[way])
            rows = await connection.fetch(_NEXT[way], last[way], most) if last[way] else []
            last[way] = [row["id"] for row in rows if row["id"] not in seen[way]]
            seen[way].update(last[way])
        # Without duplicates: in a cycle, an image can be equally near in both directions.
        fresh = list(dict.fromkeys(each for way in ways for each in last[way] if each not in near))
        if fresh and (distance == depth or len(near) + len(fresh) > limit):
            near.update(dict.fromkeys(fresh[: limit - len(near)] if distance < depth else ()))
            return list(near), True
        near.update(dict.fromkeys(fresh))
        if not any(last.values()):
            break
    return list(near), False


def _reached(row: asyncpg.Record | None, limit: int | None) -> Reached:
    assert row is not None
    at = {image_id: position for position, (image_id,) in enumerate(_ID.iter_unpack(row["ids"] or b""))}
    # A dependency beyond the limit has no position.
    found = [(at[source], at[target]) for source, target in _EDGE.iter_unpack(row["edges"] or b"") if target in at]
    found += [(at[image_id], at[image_id]) for (image_id,) in _ID.iter_unpack(row["selves"] or b"")]
    reached = row["reached"]
    most = None if limit is None else max(limit, COUNTED)
    return Reached(
        [each.hex() for each in at],
        row["references"] or [],
        found,
        None if most is not None and reached > most else reached,
        limit is not None and reached > limit,
        *list(row.values())[5:],
    )
