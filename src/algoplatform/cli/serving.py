"""What `serve` does before and around uvicorn: the database, the sample, the words of welcome."""

import asyncio
import os
import resource
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import uvicorn
from pydantic import SecretStr

from algoplatform.api import metrics
from algoplatform.api.logs import configure_logging
from algoplatform.api.protocol import server_options
from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import Unavailable
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings
from algoplatform.storage import migrations
from algoplatform.storage.embedded import EmbeddedPostgres


class NotReady(Exception):
    """The service cannot start on this database."""


def run(settings: Settings, sample: Path | None) -> None:
    """Serve until told to stop; an embedded PostgreSQL starts before and stops after."""
    configure_logging(settings.log_level)
    # uvicorn drains, then raises the signal again, which would end the process before its PostgreSQL has stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        if settings.database_url is None:
            server = stack.enter_context(EmbeddedPostgres(settings.data_dir, settings.postgres_bin))
            settings = settings.model_copy(update={"database_url": SecretStr(server.dsn)})
            migrations.upgrade(server.dsn)
        asyncio.run(_prepare(settings, sample))
        _export(settings)
        if settings.workers > 1:
            metrics.prepare_multiprocess()
        _welcome(settings)
        _allow_connections()
        uvicorn.run(
            "algoplatform.api.app:app_from_environment",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            loop="uvloop",
            **server_options(settings),
        )


async def _prepare(settings: Settings, sample: Path | None) -> None:
    """Refuse a schema that is not current, and fill an empty registry with the sample."""
    async with Runtime.open(settings) as runtime:
        problem = await runtime.readiness()
        if problem and "migrate" in problem:
            raise NotReady(problem)
        if problem or sample is None:
            return
        try:
            if await runtime.count_live():
                return
            with sample.open("rb") as file:
                async with runtime.database.connection() as connection:
                    await runtime.transfer.load(connection, TRUSTED, file)
        except (Unavailable, asyncpg.PostgresError) as error:
            raise NotReady(f"sample not loaded: {error}") from error


def _export(settings: Settings) -> None:
    """Hand the settings on to uvicorn's workers, which read the environment."""
    assert settings.database_url is not None
    os.environ["ALGOPLATFORM_DATABASE_URL"] = settings.database_url.get_secret_value()
    os.environ["ALGOPLATFORM_WORKERS"] = str(settings.workers)


def _allow_connections() -> None:
    """Take as many connections as the system lets us: the usual 1,024 are soon held by clients that do nothing."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _welcome(settings: Settings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{host}:{settings.port}{settings.root_path}"
    token = " -H 'Authorization: Bearer <JWT>'" if settings.auth == "token" else ""
    lines = (
        f"API   {base}/algoPlatform/images",
        f"文档  {base}/docs",
        f"试试  curl{token} '{base}/algoPlatform/images/_search?searchCondition=posterize'",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
