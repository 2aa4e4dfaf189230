"""The database's disk fills up: the service responds -503, and recovers by itself once there is space."""

import errno
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.faults.report import Report
from tests.faults.servers import NAME
from tests.support.images import IMAGES, minimal
from tests.support.owners import ask
from tests.support.process import Service, refused, served

pytestmark = pytest.mark.slow
MEBIBYTE = 1024 * 1024
TEXT = "图" * 1300


@contextmanager
def mounted(place: Path, mebibytes: int) -> Iterator[Path]:
    """Mount a small tmpfs."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    place.mkdir()
    options = f"size={mebibytes}m,mode=755"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture(scope="module")
def small(folder: Path) -> Iterator[Path]:
    """A file system that some images fill."""
    with mounted(folder / "small", 160) as place:
        yield place


@pytest.mark.parametrize("mebibytes", [1, 20, 39])
def test_no_room_to_start(folder: Path, mebibytes: int) -> None:
    """A disk that is full during database creation is reported in one line."""
    with mounted(folder / f"smaller-{mebibytes}", mebibytes) as place:
        code, told = refused("--port", "0", DATA_DIR=str(place / "data"), LOG_LEVEL="error")
    assert (code, told.count("\n")) == (2, 1)
    assert "No space left on device" in told


@pytest.fixture(scope="module")
def service(small: Path) -> Iterator[Service]:
    """A service with its embedded PostgreSQL on that file system."""
    with served(DATA_DIR=str(small / "data"), LOG_LEVEL="warning") as service:
        service.get("/readyz")
        yield service
        assert service.stop() == 0
        assert service.log("unhandled_error") == []


def fill(ballast: Path) -> None:
    """Use up the remaining space."""
    with ballast.open("ab", buffering=0) as file:
        for size in (MEBIBYTE, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC


def write(client: httpx.Client, name: str) -> httpx.Response:
    """Register an image with a long description."""
    return client.post(f"{IMAGES}/_register", json=minimal(name, algoDesc=TEXT))


def write_until_refused(client: httpx.Client, ballast: Path, prefix: str, kept: list[str]) -> Counter[int]:
    """Fill the disk, and write until ten writes in a row are rejected, each with the right response."""
    seen, in_a_row, number = Counter[int](), 0, 0
    while in_a_row < 10:
        if number % 50 == 0:
            fill(ballast)
        number += 1
        answer = write(client, f"algo/{prefix}-{number}")
        seen[answer.status_code] += 1
        if answer.status_code == 200:
            kept.append(f"algo/{prefix}-{number}")
            in_a_row = 0
        else:
            assert (answer.status_code, answer.json()["status"]) == (503, "-503"), answer.text
            assert int(answer.headers["retry-after"]) > 0
            in_a_row += 1
    return seen


def recovered(client: httpx.Client, name: str, kept: list[str]) -> float:
    """Free the space; return the seconds until the service can write again."""
    began = time.monotonic()
    while write(client, name).status_code != 200:
        assert time.monotonic() < began + 240
        time.sleep(0.05)
    kept.append(name)
    return time.monotonic() - began


def all_there(client: httpx.Client, kept: list[str]) -> list[str]:
    """Return the acknowledged images that are missing."""
    found = {record["imageName"] for record in client.post(f"{IMAGES}/_load").json()["res"].values()}
    return [name for name in kept if name not in found]


def states_of(service: Service) -> set[str]:
    """Return the SQLSTATEs in the service's log."""
    return {str(line["sqlstate"]) for line in service.log("database_unavailable") if line["sqlstate"]}


@pytest.mark.parametrize("journal", [False, True], ids=["tables", "write-ahead log"])
def test_disk_full(
    small: Path, service: Service, report: Report, scale: Callable[[int, int], int], journal: bool
) -> None:
    """Writes are rejected while the disk is full, and no acknowledged write is lost.

    Reads continue unless the WAL's disk is full.
    """
    rounds, kept, seen, waits, reads = scale(1, 5), list[str](), Counter[int](), list[float](), Counter[int]()
    ballast, before = small / "ballast", states_of(service)
    with httpx.Client(base_url=service.url, timeout=240) as client:
        assert recovered(client, f"algo/first{journal}".lower(), kept) < 120
        for number in range(rounds):
            fill(ballast)
            if journal:
                begin_new_segment(small / "data")
            seen += write_until_refused(client, ballast, f"{'j' if journal else 't'}{number}", kept)
            reads[client.get(f"{IMAGES}/_search?searchCondition=first").status_code] += 1
            assert client.get("/healthz").status_code == 200
            ballast.unlink()
            waits.append(recovered(client, f"algo/after{journal}{number}".lower(), kept))
        lost = all_there(client, kept)
    reasons = states_of(service) - (before if journal else set())
    report.row(
        "Disk full",
        no_room_for="the write-ahead log" if journal else "tables",
        rounds=rounds,
        **{"answers_-503": seen[503]},
        other_5xx=sum(count for status, count in seen.items() if status not in (200, 503)),
        SQLSTATE=", ".join(sorted(reasons)),
        searches_answered_meanwhile=f"{reads[200]} of {reads.total()}",
        longest_recovery_s=max(waits),
        acknowledged_writes=len(kept),
        lost=len(lost),
    )
    assert lost == []
    assert journal or "53100" in reasons
    assert set(reads) <= ({200, 503} if journal else {200})


def begin_new_segment(home: Path) -> None:
    """Force a WAL segment switch: the server panics, and the service's attempts to restart it fail."""
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        ask(f"postgresql://{NAME}@/{NAME}?host={home / 'run'}&port=5432", "SELECT pg_switch_wal()::text")
