"""Search: against its floors, and as the registry grows."""

import json
import time
from collections.abc import Callable
from functools import partial
from itertools import chain, count

from benchmarks import data, load, servers, statements, wire
from benchmarks.floors.client import pgbench, sql
from benchmarks.load import percentile
from benchmarks.results import Goal, Result, compared
from benchmarks.servers import Server
from benchmarks.session import Session

SEARCH = f"{wire.IMAGES}/_search"
_AT_LEAST = (0.70, 0.80, 0.95)
_PAGE = 50
# A cursor before every image; a response in the cache is never valid for another cursor.
_START = "0"
_places = count()


def search(session: Session) -> list[Result]:
    """Requests per second of searches with 1, 50 and 1,000 matches: the service, a bare ASGI and pgbench."""
    rows = session.plan.small
    dsn = session.registry(rows)
    results = []
    with servers.service(dsn) as service, servers.floor("search", dsn) as floor:
        for (matches, pattern), goal in zip(data.counted(rows).items(), _AT_LEAST, strict=True):
            for server in (service, floor):
                _expect(server, pattern, matches)
            results += _search(session, dsn, service, floor, pattern, f"search, {matches:,} of {rows:,}", goal)
    return results


def _search(
    session: Session, dsn: str, service: Server, floor: Server, pattern: str, name: str, goal: float
) -> list[Result]:
    """Repeat one search, once with cache hits and once with variations that always miss the cache."""
    again = load.write_requests(session.folder / "search.txt", [path_of(pattern)])
    anew = Anew(session, pattern)
    [statement] = statements.taken(dsn, lambda connection: statements.search(connection, {"searchCondition": pattern}))
    seconds = session.plan.seconds
    used, used_anew = processor_time(session, service), processor_time(session, service)
    found = session.turns(
        {
            "service": used(lambda: load.run(service.port, again, seconds)),
            "anew": used_anew(lambda: anew.run(service.port)),
            "floor": lambda: load.run(floor.port, again, seconds).rate,
            "pgbench": lambda: pgbench(dsn, [statement.inlined()], session.folder, seconds),
        }
    )
    return [
        compared(name, "/s", found["service"], found["floor"], Goal("at least", goal), used.note()),
        compared(f"{name}, each time anew", "/s", found["anew"], found["floor"], None, used_anew.note()),
        compared(f"{name}: pgbench", "/s", found["service"], found["pgbench"], None),
    ]


def path_of(pattern: str) -> str:
    """Return the path of a search for a pattern."""
    return wire.get(SEARCH, searchCondition=pattern).split()[1].decode()


class Anew:
    """Repeats a search in so many variations that each is evicted from the cache before it recurs.

    That holds for the caches of two workers as well.
    """

    def __init__(self, session: Session, pattern: str) -> None:
        single = data.single(session.plan.small)
        patterns = single * 10 if pattern in single else [pattern] * 1000
        # Ignored by the service, but not by its cache: the search itself is the one that is repeated.
        self._ways = [f"{path_of(item)}&_={at}" for at, item in enumerate(patterns)]
        self._session = session

    def run(self, port: int, connections: int = load.CONNECTIONS) -> load.Outcome:
        """Continue with the variation after that of the last run."""
        requests = load.write_requests(self._session.folder / "anew.txt", self._ways)
        outcome = load.run(port, requests, self._session.plan.seconds, connections)
        at = outcome.requests % len(self._ways)
        self._ways = [*self._ways[at:], *self._ways[:at]]
        return outcome


class processor_time:  # noqa: N801 - used as a function
    """Measures the CPU time per request of the service and of PostgreSQL, over all rounds."""

    def __init__(self, session: Session, service: Server) -> None:
        self._pids = {"service": service.pid, "PostgreSQL": session.postgres.pid}
        self._spent = dict.fromkeys(self._pids, 0.0)
        self._requests = 0

    def __call__(self, work: Callable[[], load.Outcome]) -> Callable[[], float]:
        """Wrap a run of load; the wrapper returns its rate."""

        def measured() -> float:
            before = {name: servers.cpu_seconds(pid) for name, pid in self._pids.items()}
            outcome = work()
            for name, pid in self._pids.items():
                self._spent[name] += servers.cpu_seconds(pid) - before[name]
            self._requests += outcome.requests
            return outcome.rate

        return measured

    def note(self) -> str:
        """Return the CPU time per request as text."""
        each = {name: seconds / max(1, self._requests) * 1e6 for name, seconds in self._spent.items()}
        return "CPU a request: " + ", ".join(f"{name} {microseconds:,.0f} µs" for name, microseconds in each.items())


def search_large(session: Session) -> list[Result]:
    """Latency of rare patterns in a large registry against a small one, and of a frequent pattern."""
    small, large = session.plan.small, session.plan.large
    with (
        servers.service(session.registry(large)) as in_large,
        servers.service(session.registry(small)) as in_small,
        wire.Client(in_large.port) as of_large,
        wire.Client(in_small.port) as of_small,
    ):
        kinds = zip(data.patterns(large).items(), data.patterns(small).values(), strict=True)
        results = [
            _rare(session, kind, partial(_ask, of_large, pattern), partial(_ask, of_small, other))
            for (kind, pattern), other in kinds
        ]
        return [*results, *_common(session, session.registry(large), of_large)]


def search_filters(session: Session) -> list[Result]:
    """Latency of filtered pages, large registry against small: single filters, pairs, and with text."""
    small, large = session.plan.small, session.plan.large
    with (
        servers.service(session.registry(large)) as in_large,
        servers.service(session.registry(small)) as in_small,
        wire.Client(in_large.port) as of_large,
        wire.Client(in_small.port) as of_small,
    ):
        return [
            _rare(
                session,
                kind,
                partial(_timed, of_large, pageSize=_PAGE, **conditions),
                partial(_timed, of_small, pageSize=_PAGE, **conditions),
                session.plan.samples // 4,
            )
            for kind, conditions in data.filters().items()
        ]


def _rare(
    session: Session, kind: str, in_large: Callable[[], float], in_small: Callable[[], float], samples: int = 0
) -> Result:
    times: dict[str, list[list[float]]] = {"large": [], "small": []}

    def p95(where: str, ask: Callable[[], float]) -> float:
        taken = sorted(ask() for _ in range(samples or session.plan.samples))
        times[where].append(taken)
        return percentile(taken, 0.95) * 1000

    found = session.turns({"large": lambda: p95("large", in_large), "small": lambda: p95("small", in_small)})
    middle = {where: percentile(sorted(chain.from_iterable(all_)), 0.5) * 1000 for where, all_ in times.items()}
    name = f"search p95, {session.plan.large:,} against {session.plan.small:,}: {kind}"
    note = f"p50 {middle['large']:.2f} and {middle['small']:.2f} ms"
    return compared(name, "ms", found["large"], found["small"], Goal("at most", 2), note)


def _ask(client: wire.Client, pattern: str) -> float:
    return _timed(client, searchCondition=pattern)


def _timed(client: wire.Client, **conditions: str | int) -> float:
    """Return the seconds of a search that cannot hit the cache."""
    request = wire.get(SEARCH, **conditions, after=f"{_START}:{next(_places)}")
    began = time.perf_counter()
    client.ask(request)
    return time.perf_counter() - began


def _common(session: Session, dsn: str, client: wire.Client) -> list[Result]:
    """Measure pages of a pattern that matches a third: with no write in between, and after each write."""
    rows = session.plan.large
    kept = sorted(_page(client, rows) for _ in range(session.plan.samples))
    counted = []
    for _ in range(max(5, session.plan.samples // 5)):
        sql(dsn, "SELECT pg_current_xact_id()")  # uses a transaction id like a write: the cached count is stale
        counted.append(_page(client, rows))
    counted.sort()
    name = f"page of {_PAGE} of a third of {rows:,}, with total, p95"
    return [
        _latency(f"{name}: nothing written since", kept, 20),
        _latency(f"{name}: after a write", counted, 300),
    ]


def _latency(name: str, times: list[float], most: float) -> Result:
    p50, p95 = (percentile(times, share) * 1000 for share in (0.5, 0.95))
    return Result(name, "ms", p95, goal=Goal("at most", most, "figure"), note=f"p50 {p50:.1f} ms")


def _page(client: wire.Client, rows: int) -> float:
    """Return the seconds of a page and its total."""
    began = time.perf_counter()
    answer = client.ask(wire.get(SEARCH, searchCondition=data.THIRD, page=1, pageSize=_PAGE))
    seconds = time.perf_counter() - began
    if b'"total":%d' % -(-rows // 3) not in answer or answer.count(b'"imageId":') != _PAGE:
        raise wire.WrongAnswer(answer[-200:].decode(errors="replace"))
    return seconds


def _expect(server: Server, pattern: str, matches: int) -> None:
    with wire.Client(server.port) as client:
        found = json.loads(client.ask(wire.get(SEARCH, searchCondition=pattern)))["res"]["data"]
    if len(found) != matches:
        raise wire.WrongAnswer(f"{pattern}: {len(found)} matches, not {matches}")
