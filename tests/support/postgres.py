"""One PostgreSQL for the whole run, with a cheap database for each test."""

import asyncio
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from algoplatform.embedded import EmbeddedPostgres
from algoplatform.storage.schema import migrations

# PostgreSQL 18 can leave the copying of a template to the kernel; older versions lack the option.
_CLONE = "SELECT set_config(name, 'clone', false) FROM pg_settings WHERE name = 'file_copy_method'"


def execute(dsn: str, *statements: str) -> None:
    """Run statements one by one, in a separate event loop."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, run()).result()


class Postgres:
    """A running server with a migrated template database."""

    def __init__(self, dsn: str) -> None:
        self._admin = dsn
        self.template = self.create()
        migrations.upgrade(self.template)

    def create(self, template: str | None = None, options: str = "") -> str:
        """Create a database and return its URL."""
        name = f"t{uuid.uuid4().hex}"
        source = f"TEMPLATE {template} STRATEGY file_copy" if template else ""
        execute(self._admin, _CLONE, f"CREATE DATABASE {name} {source} {options}")
        return self._admin.replace("/algoplatform?", f"/{name}?")

    def drop(self, dsn: str) -> None:
        """Drop a database, terminating its connections."""
        execute(self._admin, f"DROP DATABASE {_name(dsn)} WITH (FORCE)")

    @contextmanager
    def sorted_by_language(self) -> Iterator[str]:
        """Yield a new migrated database that sorts texts as people do, "a" before "B", and not by their bytes."""
        dsn = self.create(options="TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'")
        try:
            migrations.upgrade(dsn)
            yield dsn
        finally:
            self.drop(dsn)

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """Yield a new database."""
        dsn = self.create(_name(self.template) if migrated else None)
        try:
            yield dsn
        finally:
            self.drop(dsn)


@contextmanager
def running(programs: Path | None = None) -> Iterator[Postgres]:
    """Run a server for the duration of the tests, without fsync as its data is disposable."""
    with tempfile.TemporaryDirectory(prefix="algoplatform-tests-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder), programs, fast=True) as server:
            yield Postgres(server.dsn)


def _name(dsn: str) -> str:
    return dsn.partition("?")[0].rpartition("/")[2]
