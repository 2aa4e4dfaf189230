"""Register and update: beside a bare ASGI with the same validation and statement, and pgbench with the statement."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import orjson

from benchmarks import data, load, servers, statements, wire
from benchmarks.floors.client import pgbench
from benchmarks.results import Goal, Result, compared
from benchmarks.session import Session, settle
from benchmarks.suites.searching import processor_time

_BODIES = 500
_SCRIPTS = 50
_GOAL = Goal("at least", 0.75)


def register(session: Session) -> list[Result]:
    """Registers a second; every third image has no dependency, the others one or two."""
    known = session.plan.small
    scripts = [_registration(body) for body in data.registrations(_SCRIPTS, known, load.MARK)]
    bodies = [orjson.dumps(body).decode() for body in data.registrations(_BODIES, known, load.MARK)]
    return _writes(session, "register", bodies, scripts)


def update(session: Session) -> list[Result]:
    """Updates a second, spread over many images."""
    rows = session.plan.small
    scripts = [_change(body) for body in data.updates(_SCRIPTS, rows, load.MARK)]
    bodies = [orjson.dumps(body).decode() for body in data.updates(_BODIES, rows, load.MARK)]
    return _writes(session, "update", bodies, scripts)


def _writes(session: Session, name: str, bodies: Sequence[str], scripts: Sequence[str]) -> list[Result]:
    """Let the service, the floor and pgbench write to registries of their own."""
    rows, seconds = session.plan.small, session.plan.seconds
    lines = [f"{wire.IMAGES}/_{name}\t{body}" for body in bodies]
    requests = load.write_requests(session.folder / f"{name}.txt", lines)
    databases = [session.copied(rows) for _ in range(3)]
    for database in databases:
        settle(database)
    with servers.service(databases[0]) as service, servers.floor(name, databases[1]) as floor:
        used = processor_time(session, service)
        found = session.turns(
            {
                "service": used(lambda: load.run(service.port, requests, seconds)),
                "floor": lambda: load.run(floor.port, requests, seconds).rate,
                "pgbench": lambda: pgbench(databases[2], scripts, session.folder, seconds),
            }
        )
    for database in databases:
        session.postgres.drop(database)
    return [
        compared(name, "/s", found["service"], found["floor"], _GOAL, used.note()),
        compared(f"{name}: pgbench", "/s", found["service"], found["pgbench"], None),
    ]


def _registration(body: dict[str, object]) -> str:
    image_id = uuid4().hex
    unique = {image_id: "md5(:number::text)", load.MARK: ":number::text"}
    return _NUMBER + statements.registration(body, image_id).inlined(unique)


def _change(body: dict[str, object]) -> str:
    assert UUID(str(body["imageId"]))
    return _NUMBER + statements.change(body).inlined({load.MARK: ":number::text"})


_NUMBER = "\\set number random(1, 9000000000000000)\n"
