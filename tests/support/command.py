"""The `algoplatform` command in a process of its own, as operators start it."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx


def environment(database_url: str) -> dict[str, str]:
    """Return the environment of a process with this database and no other setting of ours."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("ALGOPLATFORM_")}
    return theirs | {"ALGOPLATFORM_DATABASE_URL": database_url}


@contextmanager
def served(program: Path, env: Mapping[str, str], cwd: Path, *arguments: str | Path) -> Iterator[str]:
    """Run `serve` for the duration of the test; yield its URL once it responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [program, "serve", "--port", str(port), *arguments]
    with (cwd / "serve.log").open("w+b") as log:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=log, stderr=log)
        try:
            _await(process, f"http://127.0.0.1:{port}", cwd / "serve.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(120)


def _await(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the service did not start: {log.read_text()}")
