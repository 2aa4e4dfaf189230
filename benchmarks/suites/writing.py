"""Register and update: against a bare ASGI with the same validation and statement, and against pgbench."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final

import orjson

from benchmarks import data, load, servers, statements, wire
from benchmarks.floors.client import pgbench
from benchmarks.results import Goal, Result, compared
from benchmarks.session import Session, settle
from benchmarks.statements import Statement
from benchmarks.suites.searching import processor_time

_BODIES: Final = 500
_MORE: Final = 32
_SCRIPTS: Final = 50
_GOAL: Final = Goal("at least", 0.75)
# Ten times the rate of Django REST framework, the fastest of three frameworks compared on such a machine.
_TENFOLD: Final = Goal("at least", 3610, "figure")
_ID: Final = "0123456789abcdef0123456789abcdef"

# Unique values in pgbench: a random number, and an id derived from it.
_NUMBER: Final = "\\set number random(1, 9000000000000000)\n"
_UNIQUE: Final = {_ID: "md5(:number::text)", load.MARK: ":number::text"}

Body = dict[str, Any]
Take = Callable[..., Awaitable[Statement]]
Make = Callable[[int], Iterator[Body]]


def register(session: Session) -> list[Result]:
    """Registers per second; every third image has no dependency, the others one or two."""
    known = session.plan.small
    return _writes(
        session,
        "register",
        lambda count: data.registrations(count, known, load.MARK),
        partial(statements.registration, image_id=_ID),
        _TENFOLD,
    )


def update(session: Session) -> list[Result]:
    """Updates per second, spread over many images."""
    rows = session.plan.small
    return _writes(session, "update", lambda count: data.updates(count, rows, load.MARK), statements.change)


def _writes(session: Session, name: str, make: Make, take: Take, goal_of_more: Goal | None = None) -> list[Result]:
    """Measure the service, the floor and pgbench, each on a registry of its own."""
    seconds = session.plan.seconds
    lines = [f"{wire.IMAGES}/_{name}\t{orjson.dumps(body).decode()}" for body in make(_BODIES)]
    requests = load.write_requests(session.folder / f"{name}.txt", lines)
    databases = [session.copied(session.plan.small) for _ in range(3)]
    taken = statements.taken(databases[2], *(partial(take, body=body) for body in make(_SCRIPTS)))
    scripts = [_NUMBER + statement.inlined(_UNIQUE) for statement in taken]
    for database in databases:
        settle(database)
    with servers.service(databases[0]) as service, servers.floor(name, databases[1]) as floor:
        used = processor_time(session, service)
        found = session.turns(
            {
                "service": used(lambda: load.run(service.port, requests, seconds)),
                "more": lambda: load.run(service.port, requests, seconds, _MORE).rate,
                "floor": lambda: load.run(floor.port, requests, seconds).rate,
                "pgbench": lambda: pgbench(databases[2], scripts, session.folder, seconds),
            }
        )
    for database in databases:
        session.postgres.drop(database)
    return [
        compared(name, "/s", found["service"], found["floor"], _GOAL, used.note()),
        compared(f"{name}: pgbench", "/s", found["service"], found["pgbench"], None),
        compared(
            f"{name}, {_MORE} connections against {load.CONNECTIONS}",
            "/s",
            found["more"],
            found["service"],
            goal_of_more,
        ),
    ]
