"""Lint of a whole registry: its time in addition to reading the records, and the growth of memory."""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pydantic import SecretStr

from algoplatform.domain.search import check_conditions
from algoplatform.planning.lint.asked import check_asked
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings
from algoplatform.storage.search import marked
from benchmarks import servers
from benchmarks.results import Goal, Result, compared
from benchmarks.session import Session

_SECONDS_PER_IMAGE = 2 / 100_000
_MOST_MEMORY = Goal("at most", 64, "figure")


def lint(session: Session) -> list[Result]:
    """Lint of a usual registry, most of whose records have no findings, and of a noisy one."""
    rows = session.plan.middle
    usual = session.usual_registry(rows)
    results = _measured(session, usual, f"lint of {rows:,}")
    session.postgres.drop(usual)
    return results + _measured(session, session.registry(rows), f"lint of {rows:,}, noisy")


def _measured(session: Session, dsn: str, name: str) -> list[Result]:
    """Seconds of linting all images, compared with reading the records; the findings are serialized and dropped."""
    settings = Settings(database_url=SecretStr(dsn))
    totals: list[int] = []

    async def judged(runtime: Runtime) -> None:
        totals.append((await runtime.lint.registry(check_asked({}), _drop)).total)

    async def read(runtime: Runtime) -> None:
        async with runtime.database.connection(stream=True) as connection:
            await marked.copy_all(connection, check_conditions({}), _drop)

    _spent(settings, read)
    before = servers.reset_peak(os.getpid())
    _spent(settings, judged)
    growth = servers.peak(os.getpid()) - before
    turns = [(_spent(settings, judged), _spent(settings, read)) for _ in range(session.plan.rounds)]
    lint, reading = ([spent.wall for spent in each] for each in zip(*turns, strict=True))
    wall = statistics.median(a - b for a, b in zip(lint, reading, strict=True))
    # CPU time of the service alone. The least of several runs counts, as a busy machine increases CPU time, too.
    own = min(judging.cpu for judging, _ in turns) - min(reading.cpu for _, reading in turns)
    goal = Goal("at most", _SECONDS_PER_IMAGE * session.plan.middle, "figure")
    return [
        compared(name, "s", lint, reading, None, f"{totals[0]:,} findings; the floor reads the records"),
        Result(f"{name}: CPU beyond reading", "s", max(own, 0.001), goal=goal),
        Result(f"{name}: beyond reading", "s", max(wall, 0.001), goal=goal),
        Result(f"{name}: memory grows by", "MiB", growth, goal=_MOST_MEMORY),
    ]


class _Spent(NamedTuple):
    """Seconds of a run: wall-clock time, and CPU time of this process."""

    wall: float
    cpu: float


def _spent(settings: Settings, work: Callable[[Runtime], Awaitable[None]]) -> _Spent:
    async def timed() -> _Spent:
        async with Runtime.open(settings) as runtime:
            began, used = time.perf_counter(), time.process_time()
            await work(runtime)
            return _Spent(time.perf_counter() - began, time.process_time() - used)

    return asyncio.run(timed())


async def _drop(data: bytes) -> None:
    """Discard the data."""
