"""Runs the migrations on one connection, under a lock: a second process waits and finds nothing to do."""

import asyncio

import asyncpg
from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from algoplatform.settings import load
from algoplatform.storage.postgres.dsn import connect_options
from algoplatform.storage.schema.tables import metadata

MIGRATION_LOCK = 4_715_962_001
# A role's statement_timeout is meant for requests; building an index takes longer.
SESSION = {"application_name": "algoplatform-migrate", "statement_timeout": "0"}
# All later statements on a table queue behind a migration that waits for its lock; a migration can be
# retried.
LOCK_TIMEOUT = "5s"


def dsn() -> str:
    """Return the database URL of the caller, else of the settings."""
    given = context.config.attributes.get("dsn")
    if given:
        return str(given)
    url = load().database_url
    if url is None:
        raise SystemExit("ALGOPLATFORM_DATABASE_URL is not set")
    return url.get_secret_value()


def migrate(connection: Connection) -> None:
    """Migrate to the requested revision, in one transaction."""
    context.configure(connection=connection, target_metadata=metadata, compare_type=True, compare_server_default=True)
    with context.begin_transaction():
        # Wait as long as necessary for another migration, regardless of the role's lock_timeout.
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.run_migrations()


async def main() -> None:
    """Connect with the same URL syntax as the service."""
    options = connect_options(dsn(), SESSION)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(**options),
        poolclass=pool.NullPool,
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


asyncio.run(main())
