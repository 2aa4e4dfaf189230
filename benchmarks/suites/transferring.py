"""Export and import: against COPY of the same rows; memory, and the latency of other requests meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import data, servers, statements, wire
from benchmarks import session as sessions
from benchmarks.floors.client import copy_to_nothing, sql
from benchmarks.load import percentile
from benchmarks.results import Goal, Result, compared
from benchmarks.servers import Server
from benchmarks.session import Session, say

_LOAD = wire.post(f"{wire.IMAGES}/_load", b"{}")
_PAUSE = 0.01


def load(session: Session) -> list[Result]:
    """Export of everything: MB per second, time to the first byte, growth of memory."""
    rows = session.plan.large
    dsn = session.registry(rows)
    [export] = statements.taken(dsn, statements.export)
    size = float(sql(dsn, f"SELECT sum(octet_length(t::text)) FROM ({export.sql}) AS rows (t)")) / 1e6
    firsts: list[float] = []

    def floor() -> float:
        began = time.perf_counter()
        copy_to_nothing(dsn, export)
        return size / (time.perf_counter() - began)

    def served() -> float:
        first, seconds = _download(service, size)
        firsts.append(first * 1000)
        return size / seconds

    with servers.service(dsn) as service:
        before = servers.reset_peak(service.pid)
        found = session.turns({"service": served, "floor": floor})
        growth = servers.peak(service.pid) - before
    name = f"_load of {rows:,}"
    return [
        compared(name, "MB/s", found["service"], found["floor"], Goal("at least", 0.9), f"{size:,.0f} MB"),
        Result(f"{name}: first byte, slowest", "ms", max(firsts), goal=Goal("at most", 50, "figure")),
        Result(f"{name}: memory grows by", "MiB", growth, goal=Goal("at most", 32, "figure")),
    ]


def _download(service: Server, size: float) -> tuple[float, float]:
    """Return the seconds to the first and to the last byte of an export."""
    began = time.perf_counter()
    first, received, last = 0.0, 0, b""
    with wire.Client(service.port) as client:
        for part in client.stream(_LOAD):
            first = first or time.perf_counter() - began
            received += len(part)
            last = (last + part)[-100:]
    if "镜像下载成功".encode() not in last or received < size * 1e6:
        raise wire.WrongAnswer(f"the export ended after {received:,} bytes")
    return first, time.perf_counter() - began


def upload(session: Session) -> list[Result]:
    """Seconds of an import into an empty registry, against COPY into a table with the same indexes."""
    rows, large = session.plan.middle, session.plan.large
    dsn, floor_dsn = session.postgres.create(), session.postgres.create()
    file, copied = session.file(rows), session.folder / "rows.copy"
    sql(floor_dsn, "CREATE TABLE image_floor (LIKE image INCLUDING ALL)")

    def empty(database: str, table: str) -> None:
        # Role replica disables triggers, so that append-only tables can be truncated.
        sql(database, "SET session_replication_role = replica", f"TRUNCATE {table} CASCADE", "CHECKPOINT")

    def served() -> float:
        empty(dsn, "image")
        return sessions.upload(service, file).seconds

    def floor() -> float:
        empty(floor_dsn, "image_floor")
        began = time.perf_counter()
        sql(floor_dsn, f"\\copy image_floor FROM '{copied}'")
        return time.perf_counter() - began

    with servers.service(dsn) as service:
        say(f"importing {rows:,} images")
        with _others(service) as others:
            first = sessions.upload(service, file)
        sql(dsn, f"\\copy image TO '{copied}'")
        found = session.turns({"service": served, "floor": floor})
    others.sort()
    session.registry(large)
    later = session.uploads[large]
    name = f"_upload of {rows:,}"
    return [
        compared(name, "s", found["service"], found["floor"], Goal("at most", 2)),
        Result(f"{name}: memory grows by", "MiB", first.growth, goal=Goal("at most", 64, "figure")),
        Result(
            f"_upload of {large:,}: memory grows by",
            "MiB",
            later.growth,
            first.growth,
            later.growth / max(first.growth, 1),
            Goal("at most", 2),
            f"{later.seconds:,.0f} s",
        ),
        Result(
            f"{name}: others' p99 meanwhile",
            "ms",
            percentile(others, 0.99),
            goal=Goal("at most", 100, "figure"),
            note=f"{len(others):,} searches, p50 {percentile(others, 0.5):.1f} ms, slowest {others[-1]:.0f} ms",
        ),
    ]


@contextmanager
def _others(service: Server) -> Iterator[list[float]]:
    """Search 100 times a second during the block; yields the list of latencies in milliseconds."""
    times: list[float] = []
    over = threading.Event()

    def ask() -> None:
        request = wire.get(f"{wire.IMAGES}/_search", searchCondition=data.image_id(1))
        with wire.Client(service.port) as client:
            while not over.is_set():
                began = time.perf_counter()
                client.ask(request)
                times.append((time.perf_counter() - began) * 1000)
                time.sleep(_PAUSE)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield times
    finally:
        over.set()
        asking.join()
