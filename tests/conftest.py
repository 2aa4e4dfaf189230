"""What every test can ask for."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.support import postgres as server
from tests.support.logs import Log, logged
from tests.support.postgres import Postgres
from tests.support.service import serving, settings_for

# How long an example takes tells of the machine and of coverage, not of what is tested.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL."""
    with server.running() as running:
        yield running


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """A database of the test's own, migrated and empty."""
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture
async def aside(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to that database past the service."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service on that database."""
    async with serving(settings_for(database_url)) as served:
        yield served


@pytest.fixture
async def other_client(postgres: Postgres) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a second service, on a second database."""
    with postgres.database() as dsn:
        async with serving(settings_for(dsn)) as served:
            yield served


@pytest.fixture
def log() -> Iterator[Log]:
    """The log, as `serve` writes it."""
    with logged() as written:
        yield written
