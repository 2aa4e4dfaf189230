"""Load generator: wrk if installed, else a client of our own on uvloop."""

import asyncio
import itertools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import uvloop

from benchmarks import wire

CONNECTIONS: Final = 8
MARK: Final = "unique0mark"
_PATIENCE: Final = 30
_SCRIPT: Final = Path(__file__).with_name("requests.lua")
_runs = itertools.count(int(time.time()) % 100_000_000 * 1000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run: `wrong` counts responses other than 200; percentiles of the latency in seconds."""

    requests: int
    seconds: float
    wrong: int
    p50: float
    p95: float
    p99: float

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.requests / self.seconds


def write_requests(path: Path, lines: Sequence[str]) -> Path:
    """Write a run's requests, one a line: a path, or path, tab and body; MARK in a body becomes unique."""
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def run(port: int, requests: Path, seconds: float, connections: int = CONNECTIONS) -> Outcome:
    """Send the requests for `seconds`; each connection sends the next one as soon as it has its response.

    Raises WrongAnswer if any request failed.
    """
    number = f"{next(_runs):x}y"
    if shutil.which("wrk") and seconds >= 1:
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{round(seconds)}s",
            "-s",
            str(_SCRIPT),
            f"http://127.0.0.1:{port}",
        ]
    else:
        command = [sys.executable, "-m", "benchmarks.load", str(port), str(connections), str(seconds)]
    done = subprocess.run([*command, str(requests), number, MARK], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")
    outcome = Outcome(**json.loads(done.stdout.splitlines()[-1]))
    if outcome.wrong or not outcome.requests:
        raise wire.WrongAnswer(f"{outcome.wrong} of {outcome.requests} requests failed: {requests.name}")
    return outcome


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the response is complete; responses have a Content-Length."""

    def __init__(self, next_request: Callable[[], bytes]) -> None:
        self._next = next_request
        self._buffer = b""
        self.times: list[float] = []
        self.wrong = 0
        self.answered = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]):
            return
        self._buffer = b""
        self.times.append(time.perf_counter() - self._asked)
        if not self.answered.done():
            self.answered.set_result(None)
        self.wrong += head[9:12] != b"200"
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        self.wrong += 1

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(self._next())


async def _drive(port: int, connections: int, seconds: float, lines: Sequence[str], run: str) -> Outcome:
    numbers = itertools.count()

    def next_request() -> bytes:
        number = next(numbers)
        path, _, body = lines[number % len(lines)].partition("\t")
        return wire.post(path, body.replace(MARK, f"{run}{number}").encode()) if body else wire.get(path)

    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    pairs = [
        await loop.create_connection(lambda: _Connection(next_request), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    await asyncio.wait([protocol.answered for _, protocol in pairs], timeout=_PATIENCE)
    took = time.perf_counter() - began
    times = sorted(itertools.chain.from_iterable(protocol.times for _, protocol in pairs))
    p50, p95, p99 = (percentile(times, share) for share in (0.5, 0.95, 0.99))
    return Outcome(len(times), took, sum(protocol.wrong for _, protocol in pairs), p50, p95, p99)


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the value below which this share of the sorted values lies."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))] if ascending else 0.0


def main() -> None:
    """Run the client in a process of its own.

    Arguments: port, connections, seconds, requests, run, and MARK, which only wrk uses.
    """
    port, connections, seconds, requests, run, _ = sys.argv[1:]
    lines = Path(requests).read_text("utf-8").splitlines()
    outcome = uvloop.run(_drive(int(port), int(connections), float(seconds), lines, run))
    fields = {name: getattr(outcome, name) for name in Outcome.__slots__}
    sys.stdout.write(json.dumps(fields) + "\n")


if __name__ == "__main__":
    main()
