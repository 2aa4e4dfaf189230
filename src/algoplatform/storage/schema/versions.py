"""The schema's revisions, told without what migrates them: loading that takes longer than the service takes to start."""

from typing import Final

import asyncpg

from algoplatform.storage.postgres.pool import Connection

# The scripts of alembic/versions, oldest first; a test holds them together.
REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
HEAD: Final = REVISIONS[-1]


class MigrationFailed(Exception):
    """The schema could not be brought to where it should be."""


class SchemaUnknown(MigrationFailed):
    """The database is at a revision that this version does not have, so a newer one has been at work."""

    def __init__(self, revision: object) -> None:
        super().__init__(
            f"schema is at {revision}, which is newer than this version of algoplatform (its own is {HEAD}):"
            " run the version that migrated the database, or a newer one"
        )


async def revision(connection: Connection) -> str | None:
    """Tell which migration the schema is at; None where there is none."""
    try:
        found: str | None = await connection.fetchval(
            "SELECT version_num FROM alembic_version", timeout=connection.prompt
        )
        return found
    except asyncpg.UndefinedTableError:
        return None
