"""Fixtures of the storage tests."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from algoplatform.embedded import EmbeddedPostgres
from algoplatform.storage.postgres.pool import Database
from tests.faults.servers import wheel_programs
from tests.support.postgres import Postgres, execute

OLDEST = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A connection pool on the test's database."""
    async with Database.open(database_url, size=4) as opened:
        yield opened


@pytest.fixture(scope="session")
def oldest_postgres() -> Iterator[Postgres]:
    """The oldest supported PostgreSQL, if installed."""
    if not (OLDEST / "postgres").exists():
        pytest.skip(f"no PostgreSQL 15 in {OLDEST}")
    with tempfile.TemporaryDirectory(prefix="algoplatform-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder), OLDEST, fast=True) as server:
            yield Postgres(server.dsn)


@pytest.fixture
def sorted_by_language_url(oldest_postgres: Postgres) -> Iterator[str]:
    """DSN of a migrated database that sorts "a" before "B", which the other PostgreSQL cannot."""
    with oldest_postgres.sorted_by_language() as dsn:
        yield dsn


@pytest.fixture
async def sorted_by_language(sorted_by_language_url: str) -> AsyncIterator[Database]:
    """A connection pool on that database."""
    async with Database.open(sorted_by_language_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def enterable() -> Iterator[Path]:
    """A folder that the server's user can enter."""
    with tempfile.TemporaryDirectory(prefix="algoplatform-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def home(enterable: Path) -> Path:
    """A data folder with a table `kept` that holds 1; no server owns it, before and after each test."""
    home = enterable / "data"
    with EmbeddedPostgres(home, fast=True) as server:
        execute(server.dsn, "CREATE TABLE kept AS SELECT 1 AS n")
    return home


@pytest.fixture(scope="session")
def programs(enterable: Path) -> Path:
    """PostgreSQL's programs where the server's user can run them, wherever this checkout is."""
    return wheel_programs(enterable)
