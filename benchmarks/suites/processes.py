"""Processes of the service: the gain from a second worker, memory, and start-up time."""

import os
import time
from functools import partial

from benchmarks import data, servers
from benchmarks.load import Outcome
from benchmarks.results import Goal, Result, compared
from benchmarks.servers import Server
from benchmarks.session import Session
from benchmarks.suites.searching import Anew, processor_time

_CONNECTIONS = 32  # enough for both workers
_GOAL = Goal("at least", 1.6)
# MiB that Django REST framework needed for the same work, the least of three frameworks compared.
_LESS_MEMORY = Goal("at most", 293, "figure")


def workers(session: Session) -> list[Result]:
    """Searches per second of two workers against one: unlimited, and each worker throttled to a quarter of a CPU."""
    # Each server has its own series, as a shared one would hit caches that the other has filled.
    pattern = data.counted(session.plan.small)[1]
    of_two, of_one = Anew(session, pattern), Anew(session, pattern)
    dsn = session.registry(session.plan.small)
    with servers.service(dsn, 2) as two, servers.service(dsn) as one:
        work = {"two": (two, of_two), "one": (one, of_one)}
        return [
            _two_against_one(session, work, "search read anew, two workers against one", 1),
            _two_against_one(session, work, "the same, each worker held to a quarter of a processor", 1 / 4, _GOAL),
            Result("memory of two workers after that", "MiB", servers.memory(two.pid), goal=_LESS_MEMORY),
        ]


def _two_against_one(
    session: Session, work: dict[str, tuple[Server, Anew]], name: str, share: float, goal: Goal | None = None
) -> Result:
    used = {who: processor_time(session, server) for who, (server, _) in work.items()}

    def run(who: str) -> Outcome:
        server, anew = work[who]
        with servers.held(server, share):
            return anew.run(server.port, _CONNECTIONS)

    idle, began = servers.idle_seconds(), time.perf_counter()
    found = session.turns({who: used[who](partial(run, who)) for who in work})
    idle = (servers.idle_seconds() - idle) / (time.perf_counter() - began)
    note = f"{used['two'].note()}; of {os.cpu_count()} processors {idle:.2f} were idle, the client's included"
    return compared(name, "/s", found["two"], found["one"], goal, note)


def start(session: Session) -> list[Result]:
    """Seconds from the start of the process to its first response; the database runs already."""
    dsn = session.registry(session.plan.small)

    def service() -> float:
        with servers.service(dsn) as server:
            return server.seconds

    def floor() -> float:
        with servers.floor("search", dsn) as server:
            return server.seconds

    found = session.turns({"service": service, "floor": floor})
    goal = Goal("at most", 1.0, "figure")
    return [compared("start to first answer", "s", found["service"], found["floor"], goal)]
