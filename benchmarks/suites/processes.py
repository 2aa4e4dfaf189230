"""What is true of the service's processes: how a second worker helps, and how soon it answers."""

import os
import time

from benchmarks import data, servers
from benchmarks.results import Goal, Result, compared
from benchmarks.session import Session
from benchmarks.suites.searching import Anew, processor_time

_CONNECTIONS = 32  # so many that both workers get their share


def workers(session: Session) -> list[Result]:
    """Searches a second of two workers against one, and who used the processors."""
    dsn = session.registry(session.plan.small)
    # Each asks in turn by itself, so that neither meets what the other has asked.
    pattern = data.counted(session.plan.small)[1]
    of_two, of_one = Anew(session, pattern), Anew(session, pattern)
    with servers.service(dsn, 2) as two, servers.service(dsn) as one:
        used, used_by_one = processor_time(session, two), processor_time(session, one)
        before = servers.idle_seconds(), time.perf_counter()
        found = session.turns(
            {
                "two": used(lambda: of_two.run(two.port, _CONNECTIONS)),
                "one": used_by_one(lambda: of_one.run(one.port, _CONNECTIONS)),
            }
        )
        idle = (servers.idle_seconds() - before[0]) / (time.perf_counter() - before[1])
    note = f"{used.note()}; of {os.cpu_count()} processors {idle:.2f} were idle, the client's included"
    name = "search read anew, two workers against one"
    return [compared(name, "/s", found["two"], found["one"], Goal("at least", 1.6), note)]


def start(session: Session) -> list[Result]:
    """Seconds from the start of the process to its first answer, with the database ready."""
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
