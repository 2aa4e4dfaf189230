"""Processes that own an embedded PostgreSQL, for tests to kill."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

# Variables that an operator may set for another server; each alone would break connections to the embedded
# one.
OF_ANOTHER_SERVER = {
    "PGPORT": "1",
    "PGHOST": "elsewhere.invalid",
    "PGUSER": "else",
    "PGDATABASE": "else",
    "PGPASSFILE": "/dev/zero",
    "PGSERVICE": "else",
    "PGOPTIONS": "-c nothing=1",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere",
    "PGSSLNEGOTIATION": "direct",
    "PGTARGETSESSIONATTRS": "standby",
    "PGGSSLIB": "none",
    "PGDATA": "/nowhere",
}

_OWN = """
import os, sys
from pathlib import Path
from algoplatform.embedded import EmbeddedPostgres
home, programs, uid = sys.argv[1:]
if uid:
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
with EmbeddedPostgres(Path(home), Path(programs) if programs else None, fast=True) as server:
    print(server.dsn, flush=True)
    sys.stdin.read()
"""


def ask(dsn: str, query: str) -> Any:
    """Return one value, read in a separate event loop."""

    async def run() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run()).result()


def ask_when_up(dsn: str, query: str, seconds: float = 120) -> Any:
    """Return one value once it is not null; the server may still be recovering, or its clients connecting."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if (value := ask(dsn, query)) is not None:
                return value
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def environment(**given: str) -> dict[str, str]:
    """Return an environment without any variables of PostgreSQL or the service, except those given."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ALGOPLATFORM_", "PG"))}
    return ours | given


@contextmanager
def owning(
    home: Path, programs: Path | str = "", uid: str = "", **popen: Any
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a process that owns a data folder; yield it and its database URL."""
    # It changes its user id only after the imports: that user may be unable to read this Python.
    command = [sys.executable, "-c", _OWN, str(home), str(programs), uid]
    owner = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **{"env": environment(), **popen}
    )
    with owner:
        assert owner.stdout is not None
        try:
            yield owner, owner.stdout.readline().strip()
        finally:
            owner.terminate()


def postmaster(home: Path) -> int:
    """Return the pid of the server on a data folder."""
    return int((home / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        # The latter if it ends between opening and reading.
        return False


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
