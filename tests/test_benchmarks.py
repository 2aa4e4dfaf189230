"""The benchmarks run, and no operation needs more statements than expected."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks import data, load, results
from benchmarks.results import Goal, compared
from benchmarks.session import Plan, Session
from benchmarks.suites import BENCHMARKS
from benchmarks.wire import WrongAnswer
from tests.support.counting import Counter, counting
from tests.support.images import IMAGES, PLATFORM, minimal, register, upload
from tests.support.service import serving, settings_for

TINY = Plan(small=400, middle=400, large=400, fresh=20, rounds=1, seconds=0.1, samples=2, fast=True)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """A small run of benchmarks."""
    with Session.open(TINY) as opened:
        yield opened


@pytest.mark.parametrize("name", BENCHMARKS)
def test_smoke(name: str, session: Session) -> None:
    """Every benchmark completes and returns figures."""
    found = BENCHMARKS[name](session)
    assert found
    assert all(result.figure > 0 or result.unit == "MiB" for result in found)


def test_results_are_shown_and_kept(tmp_path: Path) -> None:
    """The ratio is the median of the rounds' ratios, and decides whether the goal is met."""
    kept = tmp_path / "results" / "run.json"
    met = compared("search", "/s", [80, 50, 90], [100, 100, 100], Goal("at least", 0.8))
    missed = compared("upload", "s", [3], [1], Goal("at most", 2), "note")
    slow = results.Result("page", "ms", 21, goal=Goal("at most", 20, "figure"))
    results.show([met, missed, slow])
    results.write_json(kept, [met, missed, slow], {"rounds": 3})
    rows = json.loads(kept.read_text("utf-8"))["results"]
    assert [(row["ratio"], row["met"]) for row in rows] == [(0.8, True), (3, False), (None, False)]


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
async def test_load_from_wrk(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """wrk sends each body once with a unique mark, and reports rejected requests."""
    port = client.base_url.port
    assert port is not None
    line = f"{IMAGES}/_register\t{json.dumps(minimal(f'algo/{load.MARK}'))}"
    good = load.write_requests(tmp_path / "good", [line])
    outcome = await asyncio.to_thread(load.run, port, good, 1)
    found = (await client.get(f"{IMAGES}/_search", params={"page": 1, "pageSize": 1})).json()["res"]["total"]
    assert outcome.requests <= found <= outcome.requests + load.CONNECTIONS
    bad = load.write_requests(tmp_path / "bad", [line.replace(load.MARK, "same")])
    with pytest.raises(WrongAnswer):
        await asyncio.to_thread(load.run, port, bad, 1)


async def test_records_are_valid(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """The service accepts the generated records, and finds as many as the generator promises."""
    answer = await upload(client, data.write_file(tmp_path / "records.json", 400).read_bytes())
    assert answer.json()["res"]["created"] == 400
    kinds = data.patterns(400)
    rare = dict.fromkeys(kinds.values(), data.RARE) | dict.fromkeys((kinds["name:tag"], kinds["imageId"]), 1)
    promised = {pattern: count for count, pattern in data.counted(400).items()} | {data.THIRD: 134} | rare
    for pattern, count in promised.items():
        found = await client.get(f"{IMAGES}/_search", params={"searchCondition": pattern})
        assert len(found.json()["res"]["data"]) == count, pattern


@pytest.fixture
async def counter(database_url: str) -> AsyncIterator[Counter]:
    """A counter of statements on the test's database."""
    async with counting(database_url) as counted:
        yield counted


@pytest.fixture
async def counted_client(counter: Counter) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with one database connection, so that prepared statements stay prepared."""
    async with serving(settings_for(counter.dsn, pool_size=1)) as served:
        yield served


async def _search(client: httpx.AsyncClient, image_id: str, number: int) -> httpx.Response:
    return await client.get(f"{IMAGES}/_search", params={"searchCondition": f"alg{number}"})


async def _page(client: httpx.AsyncClient, image_id: str, number: int) -> httpx.Response:
    return await client.get(f"{IMAGES}/_search", params={"searchCondition": f"algo/{number}", "page": 1})


async def _get(client: httpx.AsyncClient, image_id: str, number: int) -> httpx.Response:
    return await client.get(f"{IMAGES}/{image_id}")


async def _register(client: httpx.AsyncClient, image_id: str, number: int) -> httpx.Response:
    body = minimal(f"algo/new{number}", dependencyServiceId="algo/old0:1.0")
    return await client.post(f"{IMAGES}/_register", json=body)


async def _update(client: httpx.AsyncClient, image_id: str, number: int) -> httpx.Response:
    body: dict[str, Any] = minimal(f"algo/old{number}", imageId=image_id, algoDesc=f"第{number}次")
    return await client.post(f"{IMAGES}/_update", json=body)


async def _delete(client: httpx.AsyncClient, image_id: str, number: int) -> httpx.Response:
    return await client.post(f"{IMAGES}/_delete", json={"imageId": image_id, "userResult": PLATFORM})


@pytest.mark.parametrize("operation", [_search, _page, _get, _register, _update, _delete])
async def test_one_statement_one_round_trip(
    operation: Any, counted_client: httpx.AsyncClient, counter: Counter
) -> None:
    """Each operation on an image takes one statement and one round trip."""
    images = [await register(counted_client, f"algo/old{number}") for number in range(2)]
    assert (await operation(counted_client, images[0], 0)).status_code == 200
    counter.reset()
    assert (await operation(counted_client, images[1], 1)).status_code == 200
    assert (counter.statements, counter.round_trips) == (1, 1)


async def test_the_counter_counts(counted_client: httpx.AsyncClient, counter: Counter) -> None:
    """The counter notices an operation that needs more statements."""
    counter.reset()
    answer = await counted_client.post(f"{IMAGES}/_register", json=minimal(), headers={"Idempotency-Key": "a-key"})
    assert answer.status_code == 200
    assert counter.statements > 3
    assert counter.round_trips >= counter.statements
