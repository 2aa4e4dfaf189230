"""What the benchmarks of one run share: the plan, the PostgreSQL, and registries that are filled once."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import data, servers, wire
from benchmarks.floors.client import sql
from benchmarks.servers import Postgres, Server


@dataclass(frozen=True, slots=True)
class Plan:
    """How many images, how many rounds, and how long each lasts; `fast` does not wait for the disk."""

    small: int = 10_000
    middle: int = 100_000
    large: int = 1_000_000
    fresh: int = 10_000
    rounds: int = 5
    seconds: float = 4
    samples: int = 200
    fast: bool = False


QUICK = Plan(middle=10_000, large=50_000, fresh=2_500, seconds=1, samples=50)


@dataclass(frozen=True, slots=True)
class Upload:
    """What an upload took: seconds, and MiB that the service's process grew by."""

    seconds: float
    growth: float


class Session:
    """One run of benchmarks."""

    def __init__(self, plan: Plan, folder: Path, postgres: Postgres) -> None:
        self.plan = plan
        self.folder = folder
        self.postgres = postgres
        self.uploads: dict[int, Upload] = {}
        self._registries: dict[int, str] = {}

    @classmethod
    @contextmanager
    def open(cls, plan: Plan, parent: Path | None = None) -> Iterator["Session"]:
        """Start PostgreSQL in a temporary folder, and leave nothing behind."""
        with TemporaryDirectory(prefix="algoplatform-bench-", dir=parent) as name:
            folder = Path(name)
            folder.chmod(0o755)
            with Postgres.running(folder / "data", fast=plan.fast) as postgres:
                yield cls(plan, folder, postgres)

    def file(self, rows: int) -> Path:
        """A file of so many records."""
        return data.write_file(self.folder / f"{rows}.json", rows)

    def registry(self, rows: int) -> str:
        """A database of so many images, which the service itself has imported; for reading, or to be copied."""
        if rows not in self._registries:
            say(f"loading {rows:,} images")
            dsn = self.postgres.create()
            with servers.service(dsn) as service:
                self.uploads[rows] = upload(service, self.file(rows))
            settle(dsn)
            self._registries[rows] = dsn
        return self._registries[rows]

    def copied(self, rows: int) -> str:
        """A registry of its own for what writes."""
        return self.postgres.create(template=self.registry(rows))

    def turns(self, work: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
        """Let all take turns, each round in another order; what each gave in every round."""
        found: dict[str, list[float]] = {name: [] for name in work}
        names = list(work)
        for number in range(self.plan.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                found[name].append(work[name]())
        return found


def upload(service: Server, file: Path) -> Upload:
    """Import a file over HTTP."""
    before = servers.reset_peak(service.pid)
    began = time.perf_counter()
    with wire.Client(service.port) as client:
        client.upload(f"{wire.IMAGES}/_upload", file)
    return Upload(time.perf_counter() - began, servers.peak(service.pid) - before)


def settle(dsn: str) -> None:
    """Bring a database into the state of one that has been in use for a while."""
    sql(dsn, "VACUUM (ANALYZE)", "CHECKPOINT")


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    sys.stderr.write(f"  {text}\n")
