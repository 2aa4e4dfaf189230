"""The command line within the test process, where coverage and debuggers see it."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator

import httpx
import pytest
import structlog
from typer.testing import CliRunner, Result

from algoplatform.cli.commands import app

Call = Callable[..., Awaitable[Result]]


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("ALGOPLATFORM_")]:
        monkeypatch.delenv(name)
    yield
    structlog.reset_defaults()


@pytest.fixture
def cli() -> Call:
    """Run a command in a thread, so that the loop can run a service; keyword arguments are settings."""

    async def call(*arguments: str, **settings: str) -> Result:
        env = {f"ALGOPLATFORM_{name}": value for name, value in settings.items()}
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, arguments, env=env))

    return call


@pytest.fixture(params=["database", "url"])
def reached(request: pytest.FixtureRequest, cli: Call, client: httpx.AsyncClient, database_url: str) -> Call:
    """Run a command on the registry of `client`: by its database, or by its URL without the database."""

    async def call(*arguments: str, **settings: str) -> Result:
        if request.param == "database":
            return await cli(*arguments, DATABASE_URL=database_url, **settings)
        return await cli(*arguments, "--url", str(client.base_url), **settings)

    return call


@pytest.fixture
def alike(cli: Call, client: httpx.AsyncClient, database_url: str) -> Call:
    """Run a command on the registry of `client` by its database and by its URL, which must give the same."""

    async def call(*arguments: str, **settings: str) -> Result:
        local = await cli(*arguments, DATABASE_URL=database_url, **settings)
        remote = await cli(*arguments, "--url", str(client.base_url), **settings)
        assert (remote.exit_code, remote.stdout, remote.stderr) == (local.exit_code, local.stdout, local.stderr)
        return local

    return call
