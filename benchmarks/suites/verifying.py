"""Verifying images: seconds for 1,000 images without changes, compared with as many bare requests."""

import asyncio
import json
import time
from typing import Final

import httpx

from algoplatform.catalogue.cluster.artifacts import Artifacts
from algoplatform.domain.access import OPERATOR, AccessPolicy
from algoplatform.domain.search import check_conditions
from algoplatform.registries.client import Registries
from algoplatform.registries.connection import AT_ONCE
from algoplatform.registries.manifest import ACCEPT
from algoplatform.storage.postgres.pool import Database
from benchmarks import servers
from benchmarks.results import Goal, Result, compared
from benchmarks.session import Session

_IMAGES: Final = 1_000
_GOAL: Final = Goal("at most", 5, "figure")
# Names without a host, which are looked up in the site's registry.
_CHOSEN: Final = {"namespace": "algo", "page": 1, "pageSize": _IMAGES}


def verify(session: Session) -> list[Result]:
    """Seconds to verify unchanged images, and to send as many HEAD requests with bare httpx."""
    dsn = session.copied(session.plan.small)
    with servers.floor("registry", dsn) as registry:
        results = asyncio.run(_measured(session, dsn, f"127.0.0.1:{registry.port}"))
    session.postgres.drop(dsn)
    return results


async def _measured(session: Session, dsn: str, host: str) -> list[Result]:
    setting = json.dumps([{"host": host, "http": True}])
    async with Registries.open(setting) as registries, Database.open(dsn) as database:
        artifacts = Artifacts(database, AccessPolicy(frozenset(), frozenset()), registries, host)
        conditions = check_conditions(_CHOSEN)
        began = time.perf_counter()
        found = await artifacts.verify_set(OPERATOR, conditions)
        first = time.perf_counter() - began
        took, floor = [], []
        for _ in range(session.plan.rounds):
            began = time.perf_counter()
            again = await artifacts.verify_set(OPERATOR, conditions)
            took.append(time.perf_counter() - began)
            floor.append(await _floor(host, again.total))
    assert again.states == {"present": again.total} == found.states
    note = f"{first:.2f} s the first time, with manifests and configurations"
    return [compared(f"verify {again.total:,} images, nothing new", "s", took, floor, _GOAL, note)]


async def _floor(host: str, requests: int) -> float:
    """Return the seconds of as many HEAD requests, with the same concurrency."""
    left = iter(range(requests))
    limits = httpx.Limits(max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=f"http://{host}", limits=limits, trust_env=False) as client:

        async def some() -> None:
            for number in left:
                answer = await client.head(f"/v2/algo/i{number}/manifests/1.0", headers={"accept": ACCEPT})
                assert answer.status_code == httpx.codes.OK

        began = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        return time.perf_counter() - began
