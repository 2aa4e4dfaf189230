"""State shared by the benchmarks of one run: the plan, PostgreSQL, and registries that are filled once."""

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
    """Numbers of images and rounds, and the seconds of each round; `fast` turns off fsync."""

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
    """The cost of an upload: seconds, and the growth of the service's process in MiB."""

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
        """Start PostgreSQL in a temporary folder, which is removed at the end."""
        with TemporaryDirectory(prefix="algoplatform-bench-", dir=parent) as name:
            folder = Path(name)
            folder.chmod(0o755)
            with Postgres.running(folder / "data", fast=plan.fast) as postgres:
                yield cls(plan, folder, postgres)

    def file(self, rows: int) -> Path:
        """Return a file with this many records."""
        return data.write_file(self.folder / f"{rows}.json", rows)

    def usual_registry(self, rows: int) -> str:
        """Return a new database with this many usual images, to be dropped after use."""
        say(f"loading {rows:,} usual images")
        return self._loaded(data.write_file(self.folder / f"{rows}-usual.json", rows, data.usual_records))[0]

    def registry(self, rows: int) -> str:
        """Return a database with this many images, imported by the service; to be read or copied only."""
        if rows not in self._registries:
            say(f"loading {rows:,} images")
            self._registries[rows], self.uploads[rows] = self._loaded(self.file(rows))
        return self._registries[rows]

    def _loaded(self, file: Path) -> tuple[str, Upload]:
        dsn = self.postgres.create()
        with servers.service(dsn) as service:
            cost = upload(service, file)
        settle(dsn)
        return dsn, cost

    def copied(self, rows: int) -> str:
        """Return a copy of a registry, for benchmarks that write."""
        return self.postgres.create(template=self.registry(rows))

    def turns(self, work: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
        """Run all, in a different order each round; return the results of each by round."""
        found: dict[str, list[float]] = {name: [] for name in work}
        names = list(work)
        for number in range(self.plan.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                found[name].append(work[name]())
        return found


def upload(service: Server, file: Path) -> Upload:
    """Upload a file over HTTP."""
    before = servers.reset_peak(service.pid)
    began = time.perf_counter()
    with wire.Client(service.port) as client:
        client.upload(f"{wire.IMAGES}/_upload", file)
    return Upload(time.perf_counter() - began, servers.peak(service.pid) - before)


def settle(dsn: str) -> None:
    """Vacuum and analyse a database, so that it resembles one in use."""
    sql(dsn, "VACUUM (ANALYZE)", "CHECKPOINT")


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"  {text}\n")
