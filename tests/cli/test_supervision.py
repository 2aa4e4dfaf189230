"""The processes of `serve` are one family: whichever is killed, the rest ends or goes on, and the next start succeeds."""

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
    """Serve until ready; give the service and all of its processes, of which none outlives the test."""
    with served(*arguments, **settings) as service:
        wait_until(lambda: service.get("/readyz").status_code == 200)
        with tracked(service.process.pid) as pids:
            yield service, pids


def is_taken(port: int) -> bool:
    """Whether anybody listens on a port."""
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
    """Migration and workers, too, leave alone what an operator has set for another server."""
    for name, value in OF_ANOTHER_SERVER.items():
        monkeypatch.setenv(name, value)
    with serving("--workers", workers, DATA_DIR=home) as (service, _):
        assert _registers(service.url, "1.0")
        assert service.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_supervisor_killed(home: str, workers: str) -> None:
    """kill -9 of the process that was started leaves none of the others, and the next start at once finds port and data free."""
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
    """Where the database is another's, the workers end, too, and give the port back."""
    port = "0"
    for _ in range(2):
        with serving("--workers", "2", "--port", port, DATABASE_URL=database_url) as (service, pids):
            port = str(httpx.URL(service.url).port)
            service.process.kill()
            wait_until(lambda: gone(pids))
            assert not is_taken(int(port))


async def test_workers_drain(database_url: str) -> None:
    """A worker that has lost its supervisor still finishes the upload that is on its way."""
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
    """Workers that are only being started when their supervisor dies do not stay."""
    with served("--workers", "2", DATABASE_URL=database_url) as service:
        wait_until(lambda: sum("spawn_main" in command for command in commands(service.process.pid).values()) == 2)
        with tracked(service.process.pid) as pids:
            service.process.kill()
            wait_until(lambda: gone(pids))


@pytest.mark.parametrize("victim", ["resource_tracker", "spawn_main", "checkpointer", "walwriter", "bin/postgres"])
def test_another_one_killed(home: str, victim: str) -> None:
    """Whichever other process is killed, as by the system when memory is short, the service goes on."""
    with serving("--workers", "2", DATA_DIR=home, LOG_LEVEL="warning") as (service, _):
        pid = next(pid for pid, command in commands(service.process.pid).items() if victim in command)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid))
        wait_until(lambda: _registers(service.url, victim.replace("/", "-")))
        assert service.stop() == 0


def _registers(url: str, tag: str) -> bool:
    """Tell whether a register comes through: -503 and a connection that is lost are no answer yet."""
    try:
        answer = httpx.post(f"{url}{IMAGES}/_register", json=minimal(imageTag=tag), timeout=60)
    except httpx.TransportError:
        return False
    status: str = answer.json()["status"]
    assert status in ("0", "203", "-503")
    return status != "-503"


def loads(pid: int) -> bool:
    """Whether the command is still loading its modules."""
    return "pydantic_core" in Path(f"/proc/{pid}/maps").read_text()


def starts_postgres(pid: int) -> bool:
    """Whether PostgreSQL is being made, or started."""
    return any("postgres" in command for member, command in commands(pid).items() if member != pid)


def starts_workers(pid: int) -> bool:
    """Whether the workers are being started."""
    return any("spawn_main" in command for command in commands(pid).values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stage", [loads, starts_postgres, starts_workers])
def test_stopped_while_starting(home: str, stage: Callable[[int], bool], number: signal.Signals) -> None:
    """Ctrl-C (twice, as people press it), a stop or a closed terminal at any stage of the start: no traceback, nothing stays."""
    command = [sys.executable, "-m", "algoplatform", "serve", "--port", "0", "--workers", "2"]
    settings = environment(DATA_DIR=home, LOG_LEVEL="warning")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=settings, start_new_session=True, **pipes) as process:
        wait_until(lambda: stage(process.pid))
        with tracked(process.pid) as pids:
            for _ in range(2 if number == signal.SIGINT else 1):
                # A terminal sends it to all in the foreground.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                time.sleep(0.1)
            if number == signal.SIGHUP and stage is starts_workers:
                # By then it asks a service of several workers to replace them.
                process.terminate()
            _, told = process.communicate(timeout=120)
            wait_until(lambda: gone(pids))
    assert "Traceback" not in told
    # The number of a signal where it came before anything was there to put in order.
    assert process.returncode in (0, 130, -number)
