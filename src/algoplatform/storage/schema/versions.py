"""The list of schema revisions, without alembic, which takes longer to import than the service to start."""

from typing import Final

import asyncpg

from algoplatform.storage.postgres.pool import Connection

# The scripts in alembic/versions, oldest first; a test compares them.
REVISIONS: Final = tuple(f"{number:04}" for number in range(1, 14))
HEAD: Final = REVISIONS[-1]


class MigrationFailed(Exception):
    """The migration failed."""


class SchemaUnknown(MigrationFailed):
    """The database has a revision unknown to this version, so a newer version has migrated it."""

    def __init__(self, revision: object) -> None:
        super().__init__(
            f"schema is at {revision}, which is newer than this version of algoplatform (its own is {HEAD}):"
            " run the version that migrated the database, or a newer one"
        )


async def revision(connection: Connection) -> str | None:
    """Return the revision of the schema; None if it has none."""
    try:
        found: str | None = await connection.fetchval(
            "SELECT version_num FROM alembic_version", timeout=connection.prompt
        )
        return found
    except asyncpg.UndefinedTableError:
        return None
