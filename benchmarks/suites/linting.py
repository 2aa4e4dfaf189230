"""Lint of a whole registry: its time beyond reading the records, and the growth of memory."""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable

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
    """Seconds of all rules over all images, against reading the records; findings are rendered and dropped."""
    rows = session.plan.middle
    settings = Settings(database_url=SecretStr(session.registry(rows)))
    totals: list[int] = []

    async def judged(runtime: Runtime) -> None:
        totals.append((await runtime.lint.registry(check_asked({}), _drop)).total)

    async def read(runtime: Runtime) -> None:
        async with runtime.database.connection(stream=True) as connection:
            await marked.copy_all(connection, check_conditions({}), _drop)

    _seconds(settings, read)
    before = servers.reset_peak(os.getpid())
    _seconds(settings, judged)
    growth = servers.peak(os.getpid()) - before
    used: list[float] = []

    def lint_and_count() -> float:
        began = time.process_time()
        seconds = _seconds(settings, judged)
        used.append(time.process_time() - began)
        return seconds

    found = session.turns({"lint": lint_and_count, "read": lambda: _seconds(settings, read)})
    beyond = statistics.median(a - b for a, b in zip(found["lint"], found["read"], strict=True))
    note = f"{totals[0]:,} findings; CPU of the service {statistics.median(used):.2f} s; the floor reads the records"
    name, goal = f"lint of {rows:,}", Goal("at most", _SECONDS_PER_IMAGE * rows, "figure")
    return [
        compared(name, "s", found["lint"], found["read"], None, note),
        Result(f"{name}: beyond reading", "s", max(beyond, 0.001), goal=goal),
        Result(f"{name}: memory grows by", "MiB", growth, goal=_MOST_MEMORY),
    ]


def _seconds(settings: Settings, work: Callable[[Runtime], Awaitable[None]]) -> float:
    async def timed() -> float:
        async with Runtime.open(settings) as runtime:
            began = time.perf_counter()
            await work(runtime)
            return time.perf_counter() - began

    return asyncio.run(timed())


async def _drop(data: bytes) -> None:
    """Take data and do nothing with it."""
