"""kill -9 of each component under writes: acknowledged writes survive, complete and only once."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.faults import servers
from tests.faults.report import Report, is_full
from tests.faults.servers import NAME, Server
from tests.faults.writers import Writers
from tests.support.owners import ask_when_up, is_alive, postmaster
from tests.support.process import Service, served
from tests.support.programs import free_port

pytestmark = pytest.mark.slow
Scale = Callable[[int, int], int]
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'algoplatform' ORDER BY state, random() LIMIT 1"


@pytest.fixture(scope="module")
def server(programs: Path, folder: Path) -> Iterator[Server]:
    """A PostgreSQL server outside of the service."""
    with servers.running(programs, folder, "single") as (server,):
        yield server


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[Service]:
    """A service with two workers on that server."""
    with served("--workers", "2", DATABASE_URL=server.dsn(), LOG_LEVEL="warning") as service:
        yield service
        assert service.stop() == 0


@pytest.fixture
def pair(programs: Path, folder: Path) -> Iterator[list[Server]]:
    """A primary, and a server that will become its standby."""
    with servers.running(programs, folder, "first", "second") as pair:
        yield pair


@asynccontextmanager
async def judged(report: Report, victim: str, cycles: int, service: Service, dsn: str) -> AsyncIterator[Writers]:
    """Write during a scenario; afterwards no acknowledged write may be missing."""
    await asyncio.to_thread(service.get, "/readyz")
    # Other work may slow down a machine that runs the short form.
    writers = Writers(service.url, load=50 if is_full() else 10)
    async with writers.at_work():
        await writers.loaded()
        began = time.monotonic()
        yield writers
        rate = writers.since(began) / (time.monotonic() - began)
    verdict = await writers.judge(dsn)
    report.row(
        "Kills",
        killed=victim,
        cycles=cycles,
        acknowledged_writes=verdict.acknowledged,
        a_second=round(rate),
        lost=len(verdict.lost),
        half_uploads=len(verdict.half),
        registers_retried=writers.retried,
        registered_twice=len(verdict.twice),
        longest_gap_s=writers.longest_gap(began),
    )
    assert (verdict.lost, verdict.half, verdict.twice, writers.wrong) == ([], [], [], [])


async def cycle(writers: Writers, cycles: int, kill: Callable[[], Awaitable[None]]) -> None:
    """Kill repeatedly under load, each time once the load is back."""
    for _ in range(cycles):
        await kill()
        await writers.loaded(since=time.monotonic())


def workers(service: Service) -> list[int]:
    """Return the worker processes, oldest first."""
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if "spawn_main" in _command(child)]


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        # The process has been reaped meanwhile.
        return ""


def at_work(service: Service) -> list[int]:
    """Return the workers that have answered a request: these have written metrics."""
    figures = Path(tempfile.gettempdir())
    return [pid for pid in workers(service) if any(figures.glob(f"algoplatform-metrics-*/histogram_{pid}.db"))]


async def test_worker(service: Service, server: Server, report: Report, scale: Scale) -> None:
    """A killed worker loses only its own requests, and is replaced."""
    cycles = scale(2, 25)

    async def kill() -> None:
        victim = workers(service)[0]
        os.kill(victim, signal.SIGKILL)
        # The replacement has to serve before the older worker is killed.
        async with asyncio.timeout(300):
            while is_alive(victim) or len(at_work(service)) < 2:
                await asyncio.to_thread(service.get, "/healthz")

    async with judged(report, "worker of two", cycles, service, server.dsn()) as writers:
        await cycle(writers, cycles, kill)


async def test_backend(service: Service, server: Server, report: Report, scale: Scale) -> None:
    """When one backend dies, PostgreSQL restarts all; the service waits for it."""
    cycles = scale(2, 25)

    async def kill() -> None:
        os.kill(await asyncio.to_thread(ask_when_up, server.dsn("postgres"), BACKENDS), signal.SIGKILL)

    async with judged(report, "PostgreSQL backend", cycles, service, server.dsn()) as writers:
        await cycle(writers, cycles, kill)


async def test_postmaster(service: Service, server: Server, report: Report, scale: Scale) -> None:
    """After a kill and a restart, the server has everything that it acknowledged."""
    cycles = scale(1, 20)

    async def kill() -> None:
        server.kill()
        await asyncio.to_thread(server.start)

    async with judged(report, "postmaster, restarted by the harness", cycles, service, server.dsn()) as writers:
        await cycle(writers, cycles, kill)


async def test_embedded_postmaster(folder: Path, report: Report, scale: Scale) -> None:
    """The service restarts its embedded PostgreSQL."""
    cycles = scale(2, 15)
    home = folder / "embedded"
    with served(DATA_DIR=str(home), LOG_LEVEL="warning") as service:
        dsn = f"postgresql://{NAME}@/{NAME}?host={home / 'run'}&port=5432"

        async def kill() -> None:
            victim = postmaster(home)
            os.kill(victim, signal.SIGKILL)
            async with asyncio.timeout(300):
                while is_alive(victim):  # noqa: ASYNC110 - another process has no event to wait for
                    await asyncio.sleep(0.02)

        async with judged(report, "postmaster of the service's own", cycles, service, dsn) as writers:
            await cycle(writers, cycles, kill)
        assert service.stop() == 0


@pytest.mark.parametrize("own", [False, True], ids=["beside a database", "with one of its own"])
async def test_supervisor(server: Server, folder: Path, report: Report, scale: Scale, own: bool) -> None:
    """The main process is killed and restarted at once: its workers and its PostgreSQL have exited."""
    cycles, home = scale(1, 15), folder / "supervised"
    dsn = f"postgresql://{NAME}@/{NAME}?host={home / 'run'}&port=5432" if own else server.dsn()
    database = {"DATA_DIR": str(home)} if own else {"DATABASE_URL": dsn}
    arguments = ["--workers", "2", "--port", str(free_port())]
    with ExitStack() as stack:
        services = [stack.enter_context(served(*arguments, **database, LOG_LEVEL="warning"))]

        async def kill() -> None:
            services[-1].process.kill()
            again = served(*arguments, **database, LOG_LEVEL="warning")
            services.append(await asyncio.to_thread(stack.enter_context, again))

        victim = "supervisor of two workers" + (", and of PostgreSQL" if own else "")
        async with judged(report, victim, cycles, services[0], dsn) as writers:
            await cycle(writers, cycles, kill)
        assert services[-1].stop() == 0


async def test_failover(pair: list[Server], report: Report, scale: Scale) -> None:
    """The primary dies with all its processes, and its synchronous standby is promoted."""
    cycles = scale(1, 15)
    hosts = "&".join(f"host=127.0.0.1:{server.port}" for server in pair)
    url = f"postgresql://{NAME}@/{NAME}?{hosts}&target_session_attrs=read-write"
    with served(DATABASE_URL=url, LOG_LEVEL="warning") as service:

        async def fail_over() -> None:
            primary, standby = pair
            await follow(primary, standby)
            await writers.loaded(since=time.monotonic())
            await asyncio.to_thread(primary.kill, machine=True)
            await standby.execute("SELECT pg_promote()")
            pair.reverse()

        async with judged(report, "primary, standby promoted", cycles, service, url) as writers:
            await cycle(writers, cycles, fail_over)
        assert service.stop() == 0


async def follow(primary: Server, standby: Server) -> None:
    """Create a standby from scratch, and make the primary wait for it on every commit."""
    await asyncio.to_thread(standby.copy, primary)
    await asyncio.to_thread(standby.start)
    # Once promoted, it has no standby of its own.
    await standby.execute("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
    await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
    await primary.until("SELECT sync_state = 'sync' FROM pg_stat_replication")
