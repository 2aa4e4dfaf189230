"""`algoplatform serve` in a process of its own, as operators start it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import httpx

_SECONDS = 120


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment with only these settings."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ALGOPLATFORM_")}
    return ours | {f"ALGOPLATFORM_{name}": value for name, value in settings.items()}


class Service:
    """A running `serve`."""

    def __init__(self, process: subprocess.Popen[str], stderr: IO[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.welcome = [process.stdout.readline().rstrip("\n") for _ in range(3)]
        self._stderr = stderr
        assert self.welcome[0], f"no welcome: {self.stderr}"
        self.url = self.welcome[0].split()[1].removesuffix("/algoPlatform/images")

    @property
    def stderr(self) -> str:
        """The text on stderr so far."""
        return os.pread(self._stderr.fileno(), 1 << 24, 0).decode()

    def log(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of an event."""
        lines = [json.loads(line) for line in self.stderr.splitlines()]
        return [line for line in lines if line["event"] == event]

    def get(self, path: str) -> httpx.Response:
        """Send a GET on a new connection, waiting until the service listens."""
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                return httpx.get(f"{self.url}{path}", timeout=_SECONDS)
            except httpx.ConnectError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def stop(self) -> int:
        """Stop the service and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_SECONDS)


@contextmanager
def served(*arguments: str, **settings: str) -> Iterator[Service]:
    """Serve on a free port for the duration of the test."""
    command = [sys.executable, "-m", "algoplatform", "serve", "--port", "0", *arguments]
    with tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(
            command, env=environment(**settings), stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8"
        )
        with process:
            try:
                yield Service(process, stderr)
            finally:
                if process.poll() is None:
                    process.terminate()


def refused(*arguments: str, **settings: str) -> tuple[int, str]:
    """Run a `serve` that must not start; return its exit code and output."""
    return told("serve", *arguments, **settings)


def told(*arguments: str, **settings: str) -> tuple[int, str]:
    """Run a command; return its exit code and output."""
    command = [sys.executable, "-m", "algoplatform", *arguments]
    done = subprocess.run(command, env=environment(**settings), capture_output=True, encoding="utf-8", timeout=_SECONDS)
    return done.returncode, done.stdout + done.stderr
