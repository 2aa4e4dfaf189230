"""The oldest supported PostgreSQL, and the one in the wheel."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support import postgres as server
from tests.support.postgres import Postgres
from tests.support.service import serving, settings_for
from tests.support.tour import tour

DEBIAN = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(params=[18, 15])
def any_version(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[tuple[Postgres, int]]:
    """The wheel's PostgreSQL, then Debian's."""
    if request.param == 18:
        yield postgres, 18
        return
    if not (DEBIAN / "postgres").exists():
        pytest.skip("Debian's postgresql-15 is not installed")
    with server.running(DEBIAN) as running:
        yield running, 15


async def test_every_operation(any_version: tuple[Postgres, int]) -> None:
    """Every operation works on both."""
    running, version = any_version
    with running.database() as dsn:
        async with serving(settings_for(dsn)) as client:
            await tour(client)
        connection = await asyncpg.connect(dsn)
        assert connection.get_server_version().major == version
        await connection.close()
