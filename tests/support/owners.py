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

# What an operator may have set for clients of another server; each alone would keep a client from ours.
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
    """Read one value, in an event loop of its own."""

    async def run() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run()).result()


def ask_when_up(dsn: str, query: str, seconds: float = 120) -> Any:
    """Read one value that is not null, of a server that may still be recovering, or whose clients may still be coming."""
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
    """Give what a process started by a test sees: nothing that the machine says of PostgreSQL or of the service."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ALGOPLATFORM_", "PG"))}
    return ours | given


@contextmanager
def owning(
    home: Path, programs: Path | str = "", uid: str = "", **popen: Any
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Let another process own a data folder: the process, and the address of its database."""
    # It takes the user's id only once everything is imported: that user may not be able to reach this Python.
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
    """Give the process id of the server that runs on a data folder."""
    return int((home / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
