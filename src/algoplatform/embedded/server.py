"""The embedded server, whose lifetime is that of its owner.

Layout of the data folder: `lock` (held by the owner), `postgres` (PGDATA), `postgres.log`, `run` (the socket;
in the temporary folder if its path would be too long), `programs` (a copy, only if the server's user cannot
read the wheel). As root, `postgres` and `run` belong to the server's user, and the rest to root.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import asyncpg
import structlog

from algoplatform.embedded.data import DATABASE, Data
from algoplatform.embedded.folders import Folder
from algoplatform.embedded.processes import EmbeddedPostgresError, die_with_parent, server_user
from algoplatform.embedded.programs import Programs

log = structlog.get_logger()

# Set for server and clients: an operator's PGPORT is meant for another server.
_PORT: Final = 5432
START_SECONDS: Final = 60
_STOP_SECONDS: Final = 30
# The path of a Unix socket is limited to 107 bytes; the file name takes 15.
_MAX_SOCKET_DIR: Final = 107 - 15
# Overrides everything that asyncpg would read from PG* variables and ~/.pgpass, meant for other servers.
_CONNECTION: Final[dict[str, Any]] = {
    "user": DATABASE,
    "password": "",
    "database": "postgres",
    "port": _PORT,
    "ssl": False,
    "direct_tls": False,
    "target_session_attrs": "any",
    "krbsrvname": "postgres",
    "gsslib": "gssapi",
}
_FILES: Final = ("lock", "postgres.log")
_ENTRIES: Final = (*_FILES, "postgres", "run", "programs")


class EmbeddedPostgres:
    """A PostgreSQL server that runs as long as its owner, and is restarted if it dies earlier."""

    def __init__(self, data_dir: Path, bin_dir: Path | None = None, *, fast: bool = False) -> None:
        self._path = data_dir.absolute()
        self._socket_dir = self._path / "run"
        self._bin_dir = bin_dir.absolute() if bin_dir else None
        self._fast = fast
        self._home: Folder
        self._data: Data
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def dsn(self) -> str:
        """The database URL for libpq and asyncpg: complete, so that no PG* variable changes it."""
        where = f"host={quote(str(self._socket_dir))}&password=&target_session_attrs=any&port={_PORT}"
        return f"postgresql://{DATABASE}@/{DATABASE}?{where}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        try:
            self._home = Folder.at(self._path)
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot use {self._path}: {error.strerror}") from None
        try:
            self._take_ownership()
            self._make_reachable()
            self._data.prepare()
            self._watcher = threading.Thread(target=self._watch, name="postgres", daemon=True)
            self._watcher.start()
            self._await_ready()
            self._create_database()
        except OSError as error:
            self.__exit__()
            raise EmbeddedPostgresError(f"cannot use {self._path}: {error}") from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        deadline = time.monotonic() + _STOP_SECONDS
        # Repeatedly: the watcher may be about to start another postmaster.
        while self._watcher is not None and self._watcher.is_alive() and time.monotonic() < deadline:
            if self._process is not None:
                self._process.send_signal(signal.SIGINT)
            self._watcher.join(0.2)
        if self._socket_dir.parent != self._path:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._home.__exit__()

    def _take_ownership(self) -> None:
        for name in _ENTRIES:
            mode = state.st_mode if (state := self._home.state(name)) else 0
            kind = "link" if stat.S_ISLNK(mode) else "folder" if stat.S_ISDIR(mode) and name in _FILES else None
            if kind:
                raise EmbeddedPostgresError(f"{self._path / name} is a {kind}: remove it, or set ALGOPLATFORM_DATA_DIR")
        if (state := self._home.state("lock")) and state.st_mode & 0o077:
            # Earlier versions created a lock file that any user could open and lock.
            self._home.remove("lock")
        self._lock = self._home.own_file("lock")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedPostgresError(f"{self._path} is in use by another algoplatform; stop it first") from None

    def _make_reachable(self) -> None:
        """Choose the server's user, and make sure that it can run the programs and write its data."""
        state = self._home.state("postgres")
        self._user = server_user(state.st_uid if state else 0)
        self._programs = Programs(self._bin_dir, self._user)
        if len(os.fsencode(self._socket_dir)) > _MAX_SOCKET_DIR:
            self._socket_dir = Path(tempfile.mkdtemp(prefix="algoplatform-"))
        with Folder.at(self._socket_dir.parent) as parent, parent.own_folder(self._socket_dir.name, self._user):
            pass
        if not self._programs.can_run(["/bin/sh", "-c", 'cd "$0"', self._path]):
            raise EmbeddedPostgresError(
                f"the user {self._user.pw_name if self._user else ''} cannot reach {self._path}: PostgreSQL does not run as"
                " root; set ALGOPLATFORM_DATA_DIR to a folder that others can enter"
            )
        self._programs.make_runnable(self._home, self._path)
        self._data = Data(self._home, self._path, self._programs, self._user, fast=self._fast)

    def _watch(self) -> None:
        """Run the server, restarting it when it dies, until the owner stops.

        The death signal of the server is tied to this thread.
        """
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._process = self._spawn()
                status: int | str = self._process.wait()
            except (OSError, subprocess.SubprocessError) as error:
                status = str(error)
            if not self._stopping.is_set():
                log.warning("postgres_died", status=status)
                self._stopping.wait(max(0.0, 0.2 - (time.monotonic() - began)))

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
            "shared_buffers": "128MB",
            "max_connections": "200",
            "max_wal_size": "2GB",
            "fsync": "off" if self._fast else "on",
            "log_min_messages": "warning",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        environment = self._programs.as_user()
        environment["env"]["PG_GRANDPARENT_PID"] = self._data.stale_pid(_STOP_SECONDS, self._stopping)
        with os.fdopen(self._home.own_file("postgres.log"), "ab") as output:
            return subprocess.Popen(
                [self._programs.folder / "postgres", "-D", self._data.path, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(),
                **environment,
            )

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError, asyncpg.PostgresError):
                # A server that outlived its owner could answer too.
                if self._process and self._data.is_served_by(self._process.pid) and self._query("SELECT 1"):
                    return
            time.sleep(0.02)
        raise EmbeddedPostgresError(f"PostgreSQL does not start; see {self._path / 'postgres.log'}")

    def _create_database(self) -> None:
        if not self._query("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            self._query(f"CREATE DATABASE {DATABASE}")

    def _query(self, sql: str, *values: str) -> list[Any]:
        """Run a statement in a thread with its own event loop, as the caller's thread may already run one."""
        result: list[Any] = []

        async def run() -> None:
            connection = await asyncpg.connect(**_CONNECTION, host=str(self._socket_dir))
            try:
                result.extend(await connection.fetch(sql, *values))
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, run()).result()
        return result
