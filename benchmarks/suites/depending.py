"""Registers with dependencies: in an empty, unanalysed registry, and all on one image."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks import data, load, servers, wire
from benchmarks.results import Goal, Result, compared
from benchmarks.servers import Server
from benchmarks.session import Session, settle

# Enough to keep two workers busy, and for registrations to share statements.
_CONNECTIONS: Final = 16
_WORKERS: Final = (1, 2)
_BASES: Final = 50
_BODIES: Final = 500
_AS_FAST: Final = Goal("at least", 0.9)
_UNHINDERED: Final = Goal("at least", 0.8)


def fresh(session: Session) -> list[Result]:
    """Compare the last with the first of four series of registers in a registry that is never analysed."""
    return [_fresh(session, workers) for workers in _WORKERS]


def _fresh(session: Session, workers: int) -> Result:
    bases = [data.base(number) for number in range(_BASES)]
    requests = _requests(session, "fresh", bases)
    dsn = session.postgres.create(analysed=False)
    with servers.service(dsn, workers) as service:
        with wire.Client(service.port) as client:
            for base in bases:
                client.ask(wire.post(f"{wire.IMAGES}/_register", orjson.dumps(base)))
        quarters = [_quarter(session, service, requests) for _ in range(4)]
    session.postgres.drop(dsn)
    name = f"register into an empty registry, {_of(workers)}: the fourth {session.plan.fresh:,} against the first"
    return compared(
        name, "/s", quarters[3:], quarters[:1], _AS_FAST, f"each: {', '.join(f'{q:,.0f}' for q in quarters)}"
    )


def _quarter(session: Session, service: Server, requests: Path) -> float:
    """Register at least `plan.fresh` more images; return responses per second."""
    done, seconds = 0, 0.0
    while done < session.plan.fresh:
        outcome = load.run(service.port, requests, session.plan.seconds, _CONNECTIONS)
        done, seconds = done + outcome.requests, seconds + outcome.seconds
    return done / seconds


def shared(session: Session) -> list[Result]:
    """Compare registers that all depend on one image with registers that depend on many."""
    return [_shared(session, workers) for workers in _WORKERS]


def _shared(session: Session, workers: int) -> Result:
    known = list(data.records(session.plan.small))
    step = max(1, len(known) // _BODIES)
    one, many = _requests(session, "one", known[:1]), _requests(session, "many", known[::step])
    dsn = session.copied(session.plan.small)
    settle(dsn)
    with servers.service(dsn, workers) as service:
        run = partial(load.run, service.port, seconds=session.plan.seconds, connections=_CONNECTIONS)
        found = session.turns({"one": lambda: run(one).rate, "many": lambda: run(many).rate})
    session.postgres.drop(dsn)
    name = f"registers that all depend on one image, {_of(workers)}, against on many"
    return compared(name, "/s", found["one"], found["many"], _UNHINDERED)


def _requests(session: Session, name: str, bases: Sequence[dict[str, Any]]) -> Path:
    """Write requests whose dependencies are taken in turn from `bases`."""
    lines = []
    for number, body in enumerate(data.registrations(_BODIES, 1, load.MARK)):
        base = bases[number % len(bases)]
        needs = {"dependencyServiceId": f"{base['imageName']}:{base['imageTag']}"}
        lines.append(f"{wire.IMAGES}/_register\t{orjson.dumps(body | needs).decode()}")
    return load.write_requests(session.folder / f"{name}.txt", lines)


def _of(workers: int) -> str:
    return "one worker" if workers == 1 else f"{workers} workers"
