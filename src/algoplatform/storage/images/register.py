"""Registering: the statement that inserts a batch of new images."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg
import structlog

from algoplatform.domain.access import Caller
from algoplatform.domain.errors import Busy
from algoplatform.domain.record.model import Image
from algoplatform.storage.images import edges
from algoplatform.storage.images.columns import CALLER, STORED, stored
from algoplatform.storage.images.single import Written
from algoplatform.storage.postgres.batching import Gathering
from algoplatform.storage.postgres.outage import is_outage
from algoplatform.storage.postgres.places import Turns
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.postgres.transactions import retried
from algoplatform.storage.schema import sql

log = structlog.get_logger()

_MOST: Final = 100
# How long a batch waits for a lock that one of its images needs, for example on a name that an upload has
# written and not yet committed.
_LOCK_TIMEOUT: Final = "50ms"

_COLUMNS: Final = (*STORED, *CALLER)

# Inserted in the bytewise order of names, as uploads do, so that concurrent writers wait for each other in one
# direction only and cannot deadlock. No other transaction writes edges of a new image, so `image_link` is not
# needed. Each lookup is a scalar subquery, which is planned as an index scan, whereas joins and EXISTS could become
# sequential scans; turning off enable_seqscan does the same for the foreign key checks.
_INSERT: Final = f"""
WITH given AS (
    SELECT * FROM unnest({sql.arrays(_COLUMNS, 6)}) AS given ({sql.listed(_COLUMNS)})
), wanted AS (
    SELECT wanted.dependent_id, wanted.position, (
        SELECT image_id FROM image WHERE image_name = wanted.name AND image_tag = wanted.tag AND live
    ) AS dependency_id
    FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[]) AS wanted (dependent_id, position, name, tag)
), missing AS (
    SELECT dependent_id, array_agg(position ORDER BY position) AS positions
    FROM wanted WHERE dependency_id IS NULL GROUP BY dependent_id
), written AS (
    INSERT INTO image ({sql.listed(_COLUMNS)})
    SELECT * FROM given
    WHERE (SELECT concat(set_config('enable_seqscan', 'off', true),
                         CASE WHEN $5::text IS NOT NULL THEN set_config('lock_timeout', $5, true) END)) IS NOT NULL
      AND NOT EXISTS (SELECT FROM missing WHERE dependent_id = given.image_id)
    ORDER BY image_name COLLATE "C", image_tag COLLATE "C"
    ON CONFLICT (image_name, image_tag) WHERE live DO NOTHING
    RETURNING image_id, version
), edges AS (
    INSERT INTO image_dependency (dependent_id, dependency_id)
    SELECT dependent_id, dependency_id FROM wanted JOIN written ON written.image_id = wanted.dependent_id
)
SELECT given.image_id, written.version, missing.positions AS missing,
       CASE WHEN written.version IS NULL THEN (
           SELECT true FROM image WHERE image.image_name = given.image_name AND image.image_tag = given.image_tag AND live
       ) END AS existed
FROM given
LEFT JOIN written ON written.image_id = given.image_id
LEFT JOIN missing ON missing.dependent_id = given.image_id
"""


@dataclass(frozen=True, slots=True)
class Registration:
    """An image to register for a caller, with a new id."""

    caller: Caller
    image: Image
    image_id: UUID


async def insert(
    connection: Connection, registrations: Sequence[Registration], lock_timeout: str | None = None
) -> list[Written]:
    """Insert each image with its edges, unless its name and tag are taken or a dependency is missing."""
    rows = [(*stored(item.image, item.image_id), item.caller.subject, item.caller.request_id) for item in registrations]
    needs = [(item.image_id, item.image.dependencies) for item in registrations]
    names, tags = edges.names_and_tags([reference for _, references in needs for reference in references])
    found = await connection.fetch(
        _INSERT,
        [image_id for image_id, references in needs for _ in references],
        [position for _, references in needs for position in range(1, len(references) + 1)],
        names,
        tags,
        lock_timeout,
        *map(list, zip(*rows, strict=True)),
    )
    written = {
        row["image_id"]: Written(row["version"], row["missing"] or (), existed=row["existed"] is True) for row in found
    }
    return [written[item.image_id] for item in registrations]


class Registrar:
    """Batches concurrent registrations: a transaction for many images costs little more than one for a single image."""

    def __init__(self, database: Database, patience: float) -> None:
        self._database = database
        self._patience = patience
        self._gathering = Gathering(self._insert_together, most=_MOST, patience=patience)
        self._locked = Turns(1, patience)

    async def insert(self, registration: Registration) -> Written:
        """Register an image, in a transaction shared with concurrent calls."""
        try:
            written = await self._gathering.ask(registration)
        except Busy:
            log.warning("register_not_served", patience_s=self._patience)
            raise
        return written or await self._insert_alone(registration)

    async def _insert_alone(self, registration: Registration) -> Written:
        async with self._database.connection(write=True) as connection:
            with suppress(
                asyncpg.LockNotAvailableError, asyncpg.ForeignKeyViolationError, asyncpg.DeadlockDetectedError
            ):
                [written] = await insert(connection, [registration], _LOCK_TIMEOUT)
                return written
        # Images whose locks are held for longer wait here, so that only one of them occupies a connection.
        async with self._locked, self._database.connection(write=True) as connection:
            return await insert_alone(connection, registration)

    async def _insert_together(self, registrations: list[Registration]) -> Sequence[Written | None]:
        async with self._database.connection(write=True) as connection:
            try:
                return await insert(connection, registrations, _LOCK_TIMEOUT)
            except asyncpg.PostgresError as error:
                if is_outage(error):
                    raise
                # A single image may have failed, or waited for a lock on its name: each is retried by itself.
                return [None] * len(registrations)


async def insert_alone(connection: Connection, registration: Registration) -> Written:
    """Register an image in its own statement, within the connection's transaction if one is open."""
    [written] = await retried(connection, lambda: insert(connection, [registration]))
    return written
