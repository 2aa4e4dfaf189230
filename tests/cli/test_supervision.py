"""The processes of `serve` are one family: whichever is killed, the rest ends or goes on, and the next start succeeds."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.family import commands, tracked
from tests.support.images import IMAGES, minimal
from tests.support.owners import OF_ANOTHER_SERVER, is_alive, wait_until
from tests.support.process import Service, served


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


@pytest.fixture
def home(shared_folder: Path) -> str:
    """A data folder in a place that PostgreSQL's user can enter."""
    return str(shared_folder / "data")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_variables_of_another_server(home: str, workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migration and workers, too, leave alone what an operator has set for another server."""
    for name, value in OF_ANOTHER_SERVER.items():
        monkeypatch.setenv(name, value)
    with serving("--workers", workers, DATA_DIR=home) as (service, _):
        assert httpx.post(f"{service.url}{IMAGES}/_register", json=minimal(), timeout=60).status_code == 200
        assert service.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_supervisor_killed(home: str, workers: str) -> None:
    """kill -9 of the process that was started leaves none of the others, and the next start at once finds port and data free."""
    port, seen = "0", list[int]()
    for number in range(4):
        with serving("--workers", workers, "--port", port, DATA_DIR=home) as (service, pids):
            assert len(pids) > int(workers) + 2
            port = str(httpx.URL(service.url).port)
            if number == 0:
                assert httpx.post(f"{service.url}{IMAGES}/_register", json=minimal()).status_code == 200
            assert len(httpx.post(f"{service.url}{IMAGES}/_load", timeout=60).json()["res"]) == 1
            service.process.kill()
            seen += pids
    wait_until(lambda: gone(seen))
    assert not is_taken(int(port))


def test_supervisor_killed_beside_a_database(database_url: str) -> None:
    """Where the database is another's, the workers end, too, and give the port back."""
    port = "0"
    for _ in range(3):
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
        port = str(httpx.URL(service.url).port)
        pid = next(pid for pid, command in commands(service.process.pid).items() if victim in command)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid))
        wait_until(lambda: _registers(service.url, "1"))
        service.process.kill()
    with serving("--workers", "2", "--port", port, DATA_DIR=home, LOG_LEVEL="warning") as (service, _):
        assert len(httpx.post(f"{service.url}{IMAGES}/_load", timeout=60).json()["res"]) == 1
        assert service.stop() == 0


def _registers(url: str, tag: str) -> bool:
    try:
        answer = httpx.post(f"{url}{IMAGES}/_register", json=minimal(imageTag=tag), timeout=60)
    except httpx.TransportError:
        return False
    status: str = answer.json()["status"]
    assert status in ("0", "203", "-503")
    return status != "-503"
