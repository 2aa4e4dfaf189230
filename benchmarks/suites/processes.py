"""What is true of the service's processes: how a second worker helps, and how soon it answers."""

from benchmarks import data, load, servers, wire
from benchmarks.results import Goal, Result, compared
from benchmarks.session import Session
from benchmarks.suites.searching import SEARCH, processor_time

_CONNECTIONS = 32  # so many that both workers get their share


def workers(session: Session) -> list[Result]:
    """Searches a second of two workers against one, and who used the processors."""
    dsn, seconds = session.registry(session.plan.small), session.plan.seconds
    pattern = data.counted(session.plan.small)[1]
    path = wire.get(SEARCH, searchCondition=pattern).split()[1].decode()
    requests = load.write_requests(session.folder / "workers.txt", [path])
    with servers.service(dsn, 2) as two, servers.service(dsn) as one:
        used = processor_time(session, two)
        found = session.turns(
            {
                "two": used(lambda: load.run(two.port, requests, seconds, _CONNECTIONS)),
                "one": lambda: load.run(one.port, requests, seconds, _CONNECTIONS).rate,
            }
        )
    return [
        compared(
            "search, two workers against one", "/s", found["two"], found["one"], Goal("at least", 1.6), used.note()
        )
    ]


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
