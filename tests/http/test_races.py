"""Races on a real service with three workers: the database decides, and nothing is lost or half done."""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.images import IMAGES, PLATFORM, delete, minimal, records, register, upload
from tests.support.processes import service

# The errors that a race may cause: they are temporary, and no internal errors.
BUSY = {"-503", "-409", "-429"}
# The full form repeats a hundred concurrent requests a hundred times, which takes minutes.
CLIENTS, ROUNDS, WAVES = (100, 100, 100) if os.environ.get("ALGOPLATFORM_TEST_FULL") else (20, 5, 8)


@pytest.fixture
async def crowd(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client, for many concurrent requests, of three workers on one database."""
    async with service(database_url, workers=3) as running, running.client() as client:
        yield client


async def dangling(aside: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return edges that involve images that are not live, and dependencies of live images without an edge."""
    return await aside.fetch(
        """
        SELECT dependent_id, dependency_id FROM image_dependency
        LEFT JOIN image AS dependent ON dependent.image_id = dependent_id AND dependent.live
        LEFT JOIN image AS dependency ON dependency.image_id = dependency_id AND dependency.live
        WHERE dependent.image_id IS NULL OR dependency.image_id IS NULL
        UNION ALL
        SELECT image_id, NULL FROM image
        WHERE live AND (record::json ->> 'dependencyServiceId' IS NOT NULL)
          AND NOT EXISTS (SELECT FROM image_dependency WHERE dependent_id = image_id)
        """
    )


def statuses(answers: list[httpx.Response]) -> Counter[str]:
    """Count the statuses; each response must be an envelope."""
    assert all(list(answer.json()) == ["status", "res", "msg"] for answer in answers)
    return Counter(answer.json()["status"] for answer in answers)


async def test_fifty_registers_of_one_name(crowd: httpx.AsyncClient) -> None:
    """One succeeds, 49 get a conflict, and there is one image."""
    for tag in map(str, range(4)):
        answers = await asyncio.gather(
            *(crowd.post(f"{IMAGES}/_register", json=minimal(tag=tag, pvcSize=number)) for number in range(50))
        )
        assert statuses(answers) == {"0": 1, "203": 49}
        [winner] = [answer for answer in answers if answer.status_code == 200]
        [stored] = [record for record in await records(crowd) if record["imageTag"] == tag]
        assert winner.headers["location"].endswith(stored["imageId"])


async def test_delete_against_register_of_a_dependent(crowd: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """In either order one of them is rejected; both orders occur over the rounds, and no edge dangles."""
    outcomes: Counter[tuple[str, str]] = Counter()

    async def contest(number: int) -> None:
        base, dependent = f"algo/base{number}", f"algo/dependent{number}"
        image_id = await register(crowd, base)
        body = minimal(dependent, dependencyServiceId=f"{base}:1.0")
        one, other = delete(crowd, image_id), crowd.post(f"{IMAGES}/_register", json=body)
        both = [one, other] if number % 2 else [other, one]
        answers = await asyncio.gather(*both)
        removed, registered = answers if number % 2 else reversed(answers)
        outcomes[removed.json()["status"], registered.json()["status"]] += 1

    for start in range(0, 80, 10):
        await asyncio.gather(*map(contest, range(start, start + 10)))
    assert set(outcomes) <= {("0", "308"), ("220", "0")}, outcomes
    assert len(outcomes) == 2, outcomes
    assert await dangling(aside) == []


def chained(names: list[str], **fields: Any) -> list[dict[str, Any]]:
    """Return records that each depend on the one before."""
    first, *_ = names
    links = [minimal(f"algo/{name}", dependencyServiceId=f"algo/{before}:1.0") for before, name in pairwise(names)]
    return [record | fields for record in [minimal(f"algo/{first}"), *links]]


async def test_six_overlapping_uploads(crowd: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """Overlapping files in different orders do not deadlock or mix: each image is that of one file."""
    chance = random.Random(1)
    for attempt in range(3):
        names = [f"r{attempt}n{number:03}" for number in range(300)]
        files = []
        for site in range(6):
            own = chained(names[site * 20 : site * 20 + 200], factory=f"site{site}", pvcSize=site)
            chance.shuffle(own)
            files.append(own)
        answers = await asyncio.gather(*(upload(crowd, file) for file in files))
        found = statuses(answers)
        assert set(found) <= {"0", *BUSY}, found
        assert found["0"], found
        accepted = [
            json.dumps(record) for site, file in enumerate(files) if answers[site].is_success for record in file
        ]
        stored = await records(crowd, searchCondition=f"r{attempt}n")
        assert {record["imageName"] for record in stored} == {json.loads(text)["imageName"] for text in accepted}
        for record in stored:
            assert json.dumps({name: record[name] for name in minimal()} | _rest(record)) in accepted
    assert await dangling(aside) == []


def _rest(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("dependencyServiceId", "pvcSize") if record[name] is not None}


async def test_updates_with_if_match_lose_nothing(crowd: httpx.AsyncClient) -> None:
    """Clients that increment one field by read and write with If-Match lose no increment."""
    image_id = await register(crowd, pvcSize=0)
    body = minimal(imageId=image_id)

    async def try_once() -> bool:
        read = await crowd.get(f"{IMAGES}/{image_id}")
        number = read.json()["res"]["pvcSize"] + 1
        tag = {"if-match": read.headers["etag"]}
        answer = await crowd.post(f"{IMAGES}/_update", json=body | {"pvcSize": number}, headers=tag)
        assert answer.status_code == 200 or answer.json()["status"] in ("-412", "-503"), answer.text
        return answer.status_code == 200

    async def count_up() -> int:
        refused = 0
        for _ in range(ROUNDS):
            patience = 0.25
            while not await try_once():
                refused += 1
                await asyncio.sleep(random.random() * patience)
                patience = min(2 * patience, 4)
        return refused

    refused = await asyncio.gather(*(count_up() for _ in range(CLIENTS)))
    [record] = await records(crowd)
    assert record["pvcSize"] == CLIENTS * ROUNDS
    assert (await crowd.get(f"{IMAGES}/{image_id}")).headers["etag"] == f'"{CLIENTS * ROUNDS + 1}"'
    assert sum(refused) > 0


async def test_hundred_updates_of_one_etag(crowd: httpx.AsyncClient) -> None:
    """Of a hundred updates with the same version one succeeds and the others fail, in every round."""
    image_id = await register(crowd, pvcSize=0)
    body = minimal(imageId=image_id)
    for version in range(1, WAVES + 1):
        tag = {"if-match": f'"{version}"'}
        answers = await asyncio.gather(
            *(
                crowd.post(f"{IMAGES}/_update", json=body | {"pvcSize": version * 1000 + number}, headers=tag)
                for number in range(100)
            )
        )
        assert statuses(answers) == {"0": 1, "-412": 99}
        [winner] = [number for number, answer in enumerate(answers) if answer.status_code == 200]
        read = await crowd.get(f"{IMAGES}/{image_id}")
        assert (read.headers["etag"], read.json()["res"]["pvcSize"]) == (f'"{version + 1}"', version * 1000 + winner)


async def test_upload_delete_and_register_at_once(crowd: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """Concurrent chain uploads, deletes and dependents: all answered, no dangling edge, no half upload."""
    names = [f"x{number:02}" for number in range(12)]
    chain = chained(names)
    chance = random.Random(2)
    uploads = 0

    async def remove() -> httpx.Response:
        live = await records(crowd)
        image_id = chance.choice(live)["imageId"] if live else "a" * 32
        return await delete(crowd, image_id)

    async def depend(number: int) -> httpx.Response:
        body = minimal(f"algo/y{number}", dependencyServiceId=f"algo/{chance.choice(names)}:1.0")
        return await crowd.post(f"{IMAGES}/_register", json=body)

    for number in range(10):
        work = [upload(crowd, chain), upload(crowd, chain[::-1], onConflict="skip"), *(remove() for _ in range(4))]
        work += [depend(10 * number + offset) for offset in range(4)]
        chance.shuffle(work)
        found = statuses(await asyncio.gather(*work))
        assert set(found) <= {"0", "204", "220", "308", *BUSY, "-1"}, found
        assert await dangling(aside) == []
        uploads += found["0"]
    assert uploads > 20
    assert (await upload(crowd, chain)).status_code == 200
    live = {record["imageName"] for record in await records(crowd)}
    assert {record["imageName"] for record in chain} <= live


async def test_uploads_that_must_not_meet(crowd: httpx.AsyncClient) -> None:
    """With onConflict=fail one of several overlapping uploads succeeds whole, the others write nothing."""
    for attempt in range(6):
        shared = minimal(f"algo/shared{attempt}")
        files = [[minimal(f"algo/own{attempt}x{site}"), shared | {"factory": f"site{site}"}] for site in range(6)]
        answers = await asyncio.gather(*(upload(crowd, file, onConflict="fail") for file in files))
        found = statuses(answers)
        assert found["0"] == 1, found
        assert set(found) <= {"0", "-1", *BUSY}, found
        [winner] = [site for site, answer in enumerate(answers) if answer.is_success]
        own = await records(crowd, searchCondition=f"algo/own{attempt}x")
        assert [record["imageName"] for record in own] == [f"algo/own{attempt}x{winner}"]
        [stored] = await records(crowd, searchCondition=f"algo/shared{attempt}:")
        assert stored["factory"] == f"site{winner}"


async def test_one_key_raced(crowd: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """Twenty requests with one Idempotency-Key write once: the others get its response or must wait."""
    for attempt in range(5):
        key = {"idempotency-key": f"race-{attempt}"}
        body = minimal(f"algo/key{attempt}")
        answers = await asyncio.gather(*(crowd.post(f"{IMAGES}/_register", json=body, headers=key) for _ in range(20)))
        assert set(statuses(answers)) <= {"0", "-409"}
        done = [answer for answer in answers if answer.status_code == 200]
        assert done
        assert len({(answer.content, answer.headers["location"]) for answer in done}) == 1
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code != 200)
        again = await crowd.post(f"{IMAGES}/_register", json=body, headers=key)
        assert again.headers["location"] == done[0].headers["location"]
    assert await aside.fetchval("SELECT count(*) FROM image") == 5


async def test_deletes_raced(crowd: httpx.AsyncClient) -> None:
    """Of twenty deletes of an image one succeeds, and the others find no image."""
    image_id = await register(crowd)
    body = {"imageId": image_id, "userResult": PLATFORM}
    answers = await asyncio.gather(*(crowd.post(f"{IMAGES}/_delete", json=body) for _ in range(20)))
    assert statuses(answers) == {"0": 1, "204": 19}
