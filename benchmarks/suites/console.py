"""Pages of the console in a large registry, which people wait for."""

import gzip
import time
from typing import Final

from benchmarks import data, servers, wire
from benchmarks.load import percentile
from benchmarks.results import Goal, Result
from benchmarks.servers import Server
from benchmarks.session import Session

_MILLISECONDS: Final = 30
_KIB: Final = 1024


def console(session: Session) -> list[Result]:
    """p95 of the list's pages in a large registry, and the size of the first page."""
    rows = session.plan.large
    name, tag = data.reference(rows // 2)
    pages = {
        "first page": {},
        "filtered by vendor": {"factory": "Deepview"},
        "page in the middle": {"after": f"{name}:{tag}"},
        "common text": {"searchCondition": data.THIRD},
    }
    with servers.service(session.registry(rows)) as service, wire.Client(service.port) as client:
        client.ask(wire.get("/console/images"))
        return [_page(session, service, client, kind, conditions) for kind, conditions in pages.items()]


def _page(session: Session, service: Server, client: wire.Client, kind: str, conditions: dict[str, str]) -> Result:
    before = servers.cpu_seconds(service.pid)
    taken = sorted(_seconds(client, conditions) for _ in range(session.plan.samples))
    used = (servers.cpu_seconds(service.pid) - before) / len(taken) * 1000
    page = client.ask(wire.get("/console/images", **conditions))
    note = (
        f"p50 {percentile(taken, 0.5) * 1000:.1f} ms, CPU of the service {used:.1f} ms a page;"
        f" {len(page) / _KIB:.1f} KiB, gzipped {len(gzip.compress(page)) / _KIB:.1f} KiB"
    )
    name = f"console, list of {session.plan.large:,} p95: {kind}"
    return Result(name, "ms", percentile(taken, 0.95) * 1000, goal=Goal("at most", _MILLISECONDS, "figure"), note=note)


def _seconds(client: wire.Client, conditions: dict[str, str]) -> float:
    began = time.perf_counter()
    client.ask(wire.get("/console/images", **conditions))
    return time.perf_counter() - began
