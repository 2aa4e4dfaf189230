"""The processes of `serve`: whichever is killed, the rest stops or continues, and the next start succeeds."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.family import commands, tracked
from tests.support.images import IMAGES, minimal
from tests.support.owners import OF_ANOTHER_SERVER, is_alive, wait_until
from tests.support.process import Service, environment, served


@contextmanager
def serving(*arguments: str, **settings: str) -> Iterator[tuple[Service, list[int]]]:
    """Serve until ready; yield the service and all its pids, none of which survives the test."""
    with served(*arguments, **settings) as service:
        wait_until(lambda: service.get("/readyz").status_code == 200)
        with tracked(service.process.pid) as pids:
            yield service, pids


def is_taken(port: int) -> bool:
    """Return whether a process listens on the port."""
    with socket.socket() as other:
        return other.connect_ex(("127.0.0.1", port)) == 0


def gone(pids: list[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


@pytest.fixture(scope="module")
def home() -> Iterator[str]:
    """A data folder that PostgreSQL's user can enter; each test leaves it in order."""
    with tempfile.TemporaryDirectory(prefix="algoplatform-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield f"{folder}/data"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_variables_of_another_server(home: str, workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migration and workers ignore PG* variables that an operator has set for another server."""
    for name, value in OF_ANOTHER_SERVER.items():
        monkeypatch.setenv(name, value)
    with serving("--workers", workers, DATA_DIR=home) as (service, _):
        assert _registers(service.url, "1.0")
        assert service.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_supervisor_killed(home: str, workers: str) -> None:
    """After kill -9 of the parent no other process is left, and a new start has its port and data at once."""
    port, seen = "0", list[int]()
    for number in range(3):
        with serving("--workers", workers, "--port", port, DATA_DIR=home) as (service, pids):
            assert len(pids) > int(workers) + 2
            port = str(httpx.URL(service.url).port)
            assert _registers(service.url, f"{workers}.{number}")
            service.process.kill()
            seen += pids
    wait_until(lambda: gone(seen))
    assert not is_taken(int(port))


def test_supervisor_killed_beside_a_database(database_url: str) -> None:
    """With an external database the workers stop as well and free the port."""
    port = "0"
    for _ in range(2):
        with serving("--workers", "2", "--port", port, DATABASE_URL=database_url) as (service, pids):
            port = str(httpx.URL(service.url).port)
            service.process.kill()
            wait_until(lambda: gone(pids))
            assert not is_taken(int(port))


async def test_workers_drain(database_url: str) -> None:
    """A worker whose supervisor died still completes a running upload."""
    content = json.dumps([minimal("algo/late")]).encode()
    body = b"--b\r\ncontent-disposition: form-data; name=file; filename=f\r\n\r\n" + content + b"\r\n--b--\r\n"
    head = f"POST {IMAGES}/_upload HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n".encode()
    with serving("--workers", "2", DATABASE_URL=database_url) as (service, pids):
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(service.url).port)
        writer.write(head + b"expect: 100-continue\r\ncontent-type: multipart/form-data; boundary=b\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        service.process.kill()
        await asyncio.to_thread(wait_until, lambda: sum(map(is_alive, pids)) <= 2)
        writer.write(body)
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["res"]["created"] == 1
        await asyncio.to_thread(wait_until, lambda: gone(pids))


def test_supervisor_killed_while_workers_start(database_url: str) -> None:
    """Workers that are starting when their supervisor dies exit too."""
    with served("--workers", "2", DATABASE_URL=database_url) as service:
        wait_until(lambda: sum("spawn_main" in command for command in commands(service.process.pid).values()) == 2)
        with tracked(service.process.pid) as pids:
            service.process.kill()
            wait_until(lambda: gone(pids))


@pytest.mark.parametrize("victim", ["resource_tracker", "spawn_main", "checkpointer", "walwriter", "bin/postgres"])
def test_another_one_killed(home: str, victim: str) -> None:
    """The service survives the kill of any other process, for example by the OOM killer."""
    with serving("--workers", "2", DATA_DIR=home, LOG_LEVEL="warning") as (service, _):
        pid = next(pid for pid, command in commands(service.process.pid).items() if victim in command)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid))
        wait_until(lambda: _registers(service.url, victim.replace("/", "-")))
        assert service.stop() == 0


def _registers(url: str, tag: str) -> bool:
    """Return whether a register succeeds; -503 and lost connections do not count yet."""
    try:
        answer = httpx.post(f"{url}{IMAGES}/_register", json=minimal(imageTag=tag), timeout=60)
    except httpx.TransportError:
        return False
    status: str = answer.json()["status"]
    assert status in ("0", "203", "-503")
    return status != "-503"


def loads(pid: int) -> bool:
    """Return whether the command is still importing its modules."""
    return "pydantic_core" in Path(f"/proc/{pid}/maps").read_text()


def starts_postgres(pid: int) -> bool:
    """Return whether PostgreSQL is being initialized or started."""
    return any("postgres" in command for member, command in commands(pid).items() if member != pid)


def starts_workers(pid: int) -> bool:
    """Return whether the workers are being started."""
    return any("spawn_main" in command for command in commands(pid).values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stage", [loads, starts_postgres, starts_workers])
def test_stopped_while_starting(home: str, stage: Callable[[int], bool], number: signal.Signals) -> None:
    """Ctrl-C (twice), SIGTERM or SIGHUP at any stage of the start leave no traceback and no process."""
    command = [sys.executable, "-m", "algoplatform", "serve", "--port", "0", "--workers", "2"]
    settings = environment(DATA_DIR=home, LOG_LEVEL="warning")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=settings, start_new_session=True, **pipes) as process:
        wait_until(lambda: stage(process.pid))
        with tracked(process.pid) as pids:
            for _ in range(2 if number == signal.SIGINT else 1):
                # A terminal sends it to the whole foreground process group.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                time.sleep(0.1)
            if number == signal.SIGHUP and stage is starts_workers:
                # By then SIGHUP asks a service of several workers to replace them.
                process.terminate()
            _, told = process.communicate(timeout=120)
            wait_until(lambda: gone(pids))
    assert "Traceback" not in told
    # Ended by the signal itself if it came before the handler was set.
    assert process.returncode in (0, 130, -number)
