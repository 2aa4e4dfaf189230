"""`migrate` upgrades the schema, and only up."""

import asyncio

import asyncpg

from algoplatform.storage.schema.versions import HEAD
from tests.cli.conftest import Call
from tests.support.owners import ask, wait_until
from tests.support.postgres import Postgres, execute

MIGRATION_LOCK = 4_715_962_001


async def test_migrate(cli: Call, postgres: Postgres) -> None:
    """A new database works only after it is migrated to the schema of this version."""
    with postgres.database(migrated=False) as dsn:
        before = await cli("search", DATABASE_URL=dsn)
        assert (before.exit_code, "run `algoplatform migrate`" in before.output) == (2, True)
        for _ in range(2):
            result = await cli("migrate", DATABASE_URL=dsn)
            assert (result.exit_code, result.output) == (0, f"数据库结构版本：{HEAD}\n")
        assert (await cli("search", DATABASE_URL=dsn)).exit_code == 0


async def test_migrate_needs_a_database(cli: Call) -> None:
    """Without a database URL there is nothing to migrate, and the error says so."""
    result = await cli("migrate")
    assert (result.exit_code, "ALGOPLATFORM_DATABASE_URL" in result.output) == (2, True)


async def test_newer_schema(cli: Call, postgres: Postgres) -> None:
    """A database migrated by a newer version is refused in one line that does not suggest to migrate."""
    with postgres.database() as dsn:
        execute(dsn, "UPDATE alembic_version SET version_num = 'future'")
        results = [await cli(command, DATABASE_URL=dsn) for command in ("migrate", "search")]
        told = [(result.exit_code, result.output) for result in results]
    for code, output in told:
        assert (code, output.count("\n"), "失败" in output) == (2, 1, False), output
        assert "schema is at future, which is newer than this version" in output
        assert "algoplatform migrate" not in output


async def test_migrate_outlasts_requests(cli: Call, postgres: Postgres) -> None:
    """A role's statement_timeout, which is for requests, does not abort a migration that takes longer."""
    with postgres.database(migrated=False) as dsn:
        name = dsn.partition("?")[0].rpartition("/")[2]
        execute(dsn, f"ALTER DATABASE {name} SET statement_timeout = '200ms'")
        other = await asyncpg.connect(dsn)
        await other.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        migrating = asyncio.ensure_future(cli("migrate", DATABASE_URL=dsn))
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        await asyncio.to_thread(wait_until, lambda: ask(dsn, waiting) == 1)
        await asyncio.sleep(0.4)
        await other.close()
        assert (await migrating).exit_code == 0
