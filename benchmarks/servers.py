"""The servers under test, each in processes of its own: PostgreSQL, the service, the floors."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from algoplatform.embedded import EmbeddedPostgres
from algoplatform.storage.schema import migrations
from benchmarks import wire
from benchmarks.floors.client import sql
from benchmarks.statements import planner_settings

ROOT = Path(__file__).resolve().parents[1]
_MIB = 1024 * 1024
_RESET_PEAK = "5"
_PERIOD = 0.02


class Postgres:
    """A PostgreSQL with fsync as in production (unless `fast`), and its databases."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._databases = 0

    @classmethod
    @contextmanager
    def running(cls, folder: Path, *, fast: bool) -> Iterator["Postgres"]:
        """Start PostgreSQL in a folder that its user can enter."""
        with EmbeddedPostgres(folder, fast=fast) as server:
            yield cls(server)

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        assert self._server.pid is not None
        return self._server.pid

    def create(self, template: str | None = None, *, analysed: bool = True) -> str:
        """Create a database and return its DSN: migrated, or a copy of a template without connections.

        With `analysed=False`, autovacuum never analyses its tables.
        """
        self._databases += 1
        name = f"benchmark{self._databases}"
        source = f"TEMPLATE {_name(template)} STRATEGY file_copy" if template else ""
        sql(self._server.dsn, f"CREATE DATABASE {name} {source}")
        dsn = self._server.dsn.replace("/algoplatform?", f"/{name}?")
        if template is None:
            migrations.upgrade(dsn)
        if not analysed:
            sql(
                dsn, *(f"ALTER TABLE {table} SET (autovacuum_enabled = off)" for table in ("image", "image_dependency"))
            )
        # The floors connect without the service's code and must get the same plans.
        for setting, value in planner_settings(dsn).items():
            sql(dsn, f"ALTER DATABASE {name} SET {setting} = '{value}'")
        return dsn

    def drop(self, dsn: str) -> None:
        """Drop a database."""
        sql(self._server.dsn, f"DROP DATABASE {_name(dsn)} WITH (FORCE)")


@dataclass(frozen=True, slots=True)
class Server:
    """A server process on a loopback port; `seconds` is the time from its start to its first response."""

    port: int
    pid: int
    seconds: float


@contextmanager
def service(dsn: str, workers: int = 1) -> Iterator[Server]:
    """Run `algoplatform serve`."""
    settings = {
        "ALGOPLATFORM_DATABASE_URL": dsn,
        "ALGOPLATFORM_WORKERS": str(workers),
        "ALGOPLATFORM_MAX_UPLOAD_BYTES": str(4096 * _MIB),
        "ALGOPLATFORM_LOG_LEVEL": "warning",
    }
    port = _free_port()
    with _running([sys.executable, "-m", "algoplatform", "serve", "--port", str(port)], settings, port) as server:
        yield server


@contextmanager
def held(server: Server, share: float) -> Iterator[None]:
    """Throttle each process of a server to a share of the time, as a CPU limit does."""
    over = threading.Event()
    pids = [server.pid, *_children(server.pid)] if share < 1 else []
    holding = [threading.Thread(target=_hold, args=(pid, share, over)) for pid in pids]
    for thread in holding:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in holding:
            thread.join()


def _hold(pid: int, share: float, over: threading.Event) -> None:
    # A random period, so that the workers' pauses overlap sometimes, not always or never.
    period = _PERIOD * random.uniform(0.9, 1.1)
    while not over.wait(period * share):
        os.kill(pid, signal.SIGSTOP)
        over.wait(period * (1 - share))
        os.kill(pid, signal.SIGCONT)


@contextmanager
def floor(name: str, dsn: str) -> Iterator[Server]:
    """Run one of the floors."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.floors.{name}:app", "--port", str(port)]
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-proxy-headers"]
    options += ["--no-date-header", "--no-server-header", "--log-level", "warning"]
    with _running([*command, *options], {"BENCHMARK_DSN": dsn}, port) as server:
        yield server


@contextmanager
def _running(command: Sequence[str], settings: dict[str, str], port: int) -> Iterator[Server]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ALGOPLATFORM_")}
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment | settings, stdout=subprocess.DEVNULL)
    try:
        _await_answer(process, port)
        yield Server(port, process.pid, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait for the first response, whatever its status."""
    while process.poll() is None:
        try:
            with wire.Client(port, timeout=10) as client:
                client.ask(wire.get(f"{wire.IMAGES}/_search", searchCondition="nothing-is-called-this"))
        except ConnectionRefusedError:
            time.sleep(0.002)
        except wire.WrongAnswer:
            return
        else:
            return
    raise RuntimeError(f"a server ended with status {process.returncode}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _name(dsn: str) -> str:
    return dsn.partition("?")[0].rpartition("/")[2]


def reset_peak(pid: int) -> float:
    """Reset a process's peak of memory; return the MiB in use."""
    Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)
    return _mebibytes(pid, "status", "VmRSS")


def peak(pid: int) -> float:
    """Return the peak of memory in MiB since `reset_peak`."""
    return _mebibytes(pid, "status", "VmHWM")


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and its descendants so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # Includes children that have exited, as PostgreSQL's do at any time.
    ticks = sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK") + sum(map(cpu_seconds, _children(pid)))


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def memory(pid: int) -> float:
    """Return the MiB in use by a process and its descendants; shared memory counts once."""
    return _mebibytes(pid, "smaps_rollup", "Pss") + sum(map(memory, _children(pid)))


def idle_seconds() -> float:
    """Return the idle seconds of all CPUs so far, added up."""
    return int(Path("/proc/stat").read_text().split()[4]) / os.sysconf("SC_CLK_TCK")


def _mebibytes(pid: int, file: str, name: str) -> float:
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))
