"""Fixtures for all tests."""

import gc
import logging
from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.support import postgres as server
from tests.support.logs import Log, logged
from tests.support.postgres import Postgres
from tests.support.service import serving, settings_for

# The duration of an example depends on the machine and on coverage, not on the code under test.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


# asyncpg leaves this future behind when a connection is abandoned during its TLS handshake.
_LEFT_BY_ASYNCPG = "ConnectionError: unexpected connection_lost() call"


class _Unobserved(logging.Handler):
    """Collects asyncio's reports of tasks, futures and callbacks whose exception was never retrieved."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.reports: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a report."""
        report = self.format(record)
        if not report.endswith(_LEFT_BY_ASYNCPG):
            self.reports.append(report)

    def fail(self) -> None:
        """Fail if there are reports."""
        reports, self.reports = self.reports, []
        assert not reports, "\n".join(reports)


@pytest.fixture(scope="session")
def unobserved() -> Iterator[_Unobserved]:
    """Collect asyncio's reports to the end: a task's exception is reported only on garbage collection."""
    handler = _Unobserved()
    logging.getLogger("asyncio").addHandler(handler)
    yield handler
    gc.collect()
    logging.getLogger("asyncio").removeHandler(handler)
    handler.fail()


@pytest.fixture(autouse=True)
def _nothing_unobserved(unobserved: _Unobserved) -> Iterator[None]:
    yield
    unobserved.fail()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL."""
    with server.running() as running:
        yield running


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """DSN of the test's own database, migrated and empty."""
    with postgres.database() as dsn:
        yield dsn


@pytest.fixture
async def aside(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to that database that bypasses the service."""
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
    """A client of a second service on a second database."""
    with postgres.database() as dsn:
        async with serving(settings_for(dsn)) as served:
            yield served


@pytest.fixture(autouse=True, scope="session")
def uncached_loggers() -> Iterator[None]:
    """Disable structlog's cache: a cached logger keeps the configuration of the test that first used it."""
    configure = structlog.configure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", lambda **given: configure(**given | {"cache_logger_on_first_use": False}))
        yield


@pytest.fixture
def log() -> Iterator[Log]:
    """The log, as `serve` writes it."""
    with logged() as written:
        yield written
