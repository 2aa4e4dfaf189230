"""PostgreSQL's data folder (PGDATA): runs initdb, checks the version, and waits for another server on it to end."""

import pwd
import subprocess
import threading
import time
from pathlib import Path
from typing import Final

from algoplatform.embedded.folders import Folder
from algoplatform.embedded.processes import EmbeddedPostgresError
from algoplatform.embedded.programs import Programs

NAME: Final = "postgres"
# The name of the superuser, and of the service's database.
DATABASE: Final = "algoplatform"
_BUILTIN_LOCALE: Final = 17


class Data:
    """The folder `postgres` in the service's folder, whose path is `home_path`."""

    def __init__(
        self, home: Folder, home_path: Path, programs: Programs, user: pwd.struct_passwd | None, *, fast: bool
    ) -> None:
        self.path = home_path / NAME
        self._home = home
        self._programs = programs
        self._user = user
        self._fast = fast

    def prepare(self) -> None:
        """Run initdb if there is no data yet; raises EmbeddedPostgresError if it is of another version."""
        if not self._is_made():
            self._initdb()
        self._check_version()

    def _is_made(self) -> bool:
        if self._home.state(NAME) is None:
            return False
        with self._home.folder(NAME) as data:
            return data.state("PG_VERSION") is not None

    def _initdb(self) -> None:
        if self._programs.version() >= _BUILTIN_LOCALE:
            locale = ["--locale=C", "--lc-ctype=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        else:
            locale = ["--locale=C.UTF-8"]
        # A killed initdb leaves a partial folder, so it is renamed only once complete.
        unfinished = f"{NAME}.new"
        self._home.remove(unfinished)
        with self._home.own_folder(unfinished, self._user):
            pass
        sync = ["--no-sync"] if self._fast else []
        options: list[str | Path] = ["-D", self.path.with_name(unfinished), "-U", DATABASE, "-E", "UTF8", "-A", "trust"]
        command = [self._programs.folder / "initdb", *options, *locale, *sync]
        answer = subprocess.run(command, check=False, capture_output=True, text=True, **self._programs.as_user())
        if answer.returncode:
            raise EmbeddedPostgresError(f"initdb failed: {'; '.join(answer.stderr.strip().splitlines())}")
        self._home.rename(unfinished, NAME)

    def _check_version(self) -> None:
        with self._home.folder(NAME) as data:
            theirs, ours = data.read("PG_VERSION").strip(), self._programs.version()
        if theirs != str(ours):
            theirs = theirs if theirs.isdecimal() else "?"
            raise EmbeddedPostgresError(
                f"{self.path} is of PostgreSQL {theirs}, but {self._programs.folder} is {ours}: export with the old version"
                " (algoplatform export), move the folder away, and import"
            )

    def stale_pid(self, wait: float, stopping: threading.Event) -> str:
        """Wait up to `wait` seconds for a server that outlived its owner; return the stale pid, "0" if none.

        PostgreSQL treats the pid in PG_GRANDPARENT_PID as stale, and starts although another program has that
        pid now.
        """
        deadline = time.monotonic() + wait
        with self._home.folder(NAME) as data:
            while time.monotonic() < deadline and not stopping.is_set():
                try:
                    pid = int(data.read("postmaster.pid").split("\n", 1)[0])
                except FileNotFoundError:
                    break
                except (ValueError, OSError):
                    # Empty, after a kill during its creation, or not a file: PostgreSQL would never start again.
                    data.remove("postmaster.pid")
                    break
                if not self._serves_data(pid):
                    return str(pid)
                time.sleep(0.05)
        return "0"

    def _serves_data(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self.path.resolve()
        except OSError:
            return False

    def is_served_by(self, pid: int) -> bool:
        with self._home.folder(NAME) as data:
            return data.read("postmaster.pid").startswith(f"{pid}\n")
