"""`algoplatform serve` with an embedded PostgreSQL whose processes are killed."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.images import IMAGES, minimal
from tests.support.owners import ask, environment, postmaster, wait_until


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[httpx.Client]:
    """`algoplatform serve` with an embedded PostgreSQL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "algoplatform", "serve", "--port", str(port)]
    log = subprocess.DEVNULL
    with (
        subprocess.Popen(command, env=environment(ALGOPLATFORM_DATA_DIR=str(home)), stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client,
    ):
        try:
            wait_until(lambda: _answers(client))
            assert client.post(f"{IMAGES}/_register", json=minimal()).status_code == 200
            yield client
        finally:
            process.terminate()
            assert process.wait(120) == 0
    assert not (home / "postgres" / "postmaster.pid").exists()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _backend(home: Path) -> int:
    with_socket = f"postgresql://algoplatform@/algoplatform?host={home / 'run'}&port=5432"
    pid: int = ask(with_socket, "SELECT pid FROM pg_stat_activity WHERE application_name = 'algoplatform' LIMIT 1")
    return pid


@pytest.mark.parametrize("victim", [postmaster, _backend])
def test_service_outlives_a_killed_server(served: httpx.Client, home: Path, victim: Callable[[Path], int]) -> None:
    """After kill -9 of the server or a backend the service reports -503, and soon recovers with all data."""
    # A backend of a server that was killed before may end only now.
    wait_until(lambda: served.get(f"{IMAGES}/_search").status_code == 200)
    os.kill(victim(home), signal.SIGKILL)
    answers: list[httpx.Response] = []

    def recovered() -> bool:
        answers.append(served.get(f"{IMAGES}/_search"))
        return answers[-1].status_code == 200

    wait_until(recovered)
    assert {(answer.status_code, answer.json()["status"]) for answer in answers[:-1]} <= {(503, "-503")}
    assert all(answer.headers["retry-after"] for answer in answers[:-1])
    assert [record["imageName"] for record in answers[-1].json()["res"]["data"]] == ["algo/a"]
    wait_until(lambda: _answers(served))
