"""What `serve` does before and around uvicorn: port, database, sample, welcome message."""

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import NoReturn

import structlog
import uvicorn
from pydantic import SecretStr
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from algoplatform.api.http import metrics
from algoplatform.api.server.options import server_options
from algoplatform.cli import listening, metrics_folders
from algoplatform.domain.access import OPERATOR
from algoplatform.domain.errors import Unavailable
from algoplatform.embedded import EmbeddedPostgres
from algoplatform.logs import configure_logging
from algoplatform.runtime import NotReady, Runtime
from algoplatform.settings import Settings, ignored, unknown
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.schema.versions import HEAD, SchemaUnknown, revision


def run(settings: Settings, sample: Path | None) -> None:
    """Serve until stopped; an embedded PostgreSQL is started before and stopped after."""
    configure_logging(settings.log_level)
    if names := unknown():
        structlog.get_logger().warning("unknown_settings", names=names)
    if names := ignored():
        structlog.get_logger().warning("ignored_settings", names=names, reason="set by Kubernetes for a Service")
    if answers_any_host(settings):
        structlog.get_logger().warning(
            "any_host_answered",
            reason="open to DNS rebinding if forwarded to a loopback address, for example by kubectl port-forward;"
            " set ALGOPLATFORM_ALLOWED_HOSTS to the hosts to answer to",
        )
    with ExitStack() as stack:
        stack.enter_context(_terminable())
        # First, so that a port in use is reported before anything is started or written.
        listener = stack.enter_context(listening.bound(settings))
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        if settings.database_url is None:
            _forget_other_servers()
            server = stack.enter_context(EmbeddedPostgres(settings.data_dir, settings.postgres_bin))
            settings = settings.model_copy(update={"database_url": SecretStr(server.dsn)})
            _migrate(server.dsn)
        asyncio.run(prepare(settings, sample))
        _export(settings)
        _allow_connections()
        listening.accept(listener, settings)
        welcome(settings)
        _serve(settings, listener)


def answers_any_host(settings: Settings) -> bool:
    """Return whether callers are trusted under any Host: none are set, and the check for loopback is off."""
    return settings.auth == "gateway" and not settings.listens_on_loopback and not settings.allowed_hosts


def _serve(settings: Settings, listener: socket.socket) -> None:
    config = uvicorn.Config(
        "algoplatform.cli.worker:application",
        factory=True,
        workers=settings.workers,
        loop="uvloop",
        **server_options(settings),
    )
    if settings.workers > 1:
        metrics_folders.remove_abandoned()
        supervisor = _Workers(config, sockets=[listener])
        with metrics_folders.held(metrics.prepare_multiprocess()):
            supervisor.run()
        started = all(worker.exitcode != STARTUP_FAILURE for worker in supervisor.processes)
    else:
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
        started = server.started
    if not started:
        raise NotReady("the service did not start; the log says why")


class _Workers(Multiprocess):
    """A supervisor that closes the port when its workers drain; otherwise new connections would queue."""

    def init_processes(self) -> None:
        """Start the workers with SIGINT blocked: a worker that still loads would print a traceback."""
        # Started with the first worker, the tracker would unblock the signal.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().init_processes()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end the process cleanly at any time, with exit code 0."""

    def leave(number: int, frame: object) -> NoReturn:
        sys.exit(0)

    def hang_up(number: int, frame: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, leave)
    # Under nohup the service keeps running.
    if before[signal.SIGHUP] is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _forget_other_servers() -> None:
    """Remove libpq's variables: an operator's PGSSLMODE or PGHOST is not meant for the embedded server."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def _migrate(dsn: str) -> None:
    async def current() -> str | None:
        async with Database.open(dsn) as database, database.connection() as connection:
            return await revision(connection)

    if asyncio.run(current()) != HEAD:
        from algoplatform.storage.schema import (
            migrations,  # slow to import, and only needed once per version
        )

        migrations.upgrade(dsn)


async def prepare(settings: Settings, sample: Path | None) -> None:
    """Refuse an outdated schema, and import the sample if the registry is empty."""
    async with Runtime.open(settings) as runtime:
        try:
            await runtime.require_schema()
        except SchemaUnknown as newer:
            # Accepted, so that a roll-out can be undone: migrations only add (docs/operations.md).
            structlog.get_logger().warning("schema_newer", reason=str(newer))
        except Unavailable:
            # It may come up later; until then /readyz fails.
            return
        if sample is None or await runtime.count_live():
            return
        with sample.open("rb") as file:
            await runtime.transfer.load(OPERATOR, file)


def _export(settings: Settings) -> None:
    """Pass the settings to uvicorn's workers in the environment."""
    assert settings.database_url is not None
    os.environ["ALGOPLATFORM_DATABASE_URL"] = settings.database_url.get_secret_value()
    os.environ["ALGOPLATFORM_WORKERS"] = str(settings.workers)


def _allow_connections() -> None:
    """Raise the file descriptor limit to the maximum: idle clients soon exhaust the usual 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def welcome(settings: Settings) -> None:
    """Print the addresses of the service."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{host}:{settings.port}{settings.root_path}"
    token = " -H 'Authorization: Bearer <JWT>'" if settings.auth == "token" else ""
    pages = [f"页面  {base}/console"] if settings.console else []
    lines = (
        f"API   {base}/algoPlatform/images",
        f"文档  {base}/docs",
        f"试试  curl{token} '{base}/algoPlatform/images/_search?searchCondition=posterize'",
        *pages,
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
