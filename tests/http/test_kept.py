"""The search cache: a cached response is used only while nothing is committed, on any worker."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from algoplatform.catalogue.search_cache import KeptAnswers
from algoplatform.domain.answer import Answer
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.postgres.snapshot import Stamps
from tests.support.counting import Counter, counting
from tests.support.images import IMAGES, delete, minimal, records, register, upload
from tests.support.postgres import execute
from tests.support.processes import service
from tests.support.service import serving, settings_for

WRITERS, WAVES = 3, 40


@pytest.fixture
async def counter(database_url: str) -> AsyncIterator[Counter]:
    """A counter of statements on the test's database."""
    async with counting(database_url) as counted:
        yield counted


async def test_a_search_that_is_repeated_reads_nothing(counter: Counter, aside: asyncpg.Connection) -> None:
    """A repeated search only validates the cache, for which it needs no table; the response is identical to the byte."""
    async with serving(settings_for(counter.dsn, pool_size=1)) as client:
        await register(client, "algo/a")
        for asked in ({"searchCondition": "algo"}, {"searchCondition": "algo", "page": "1"}, {}):
            first = await client.get(f"{IMAGES}/_search", params=asked)
            await client.get(f"{IMAGES}/_search", params=asked)
            # Whatever reads images waits for this lock.
            await aside.execute("BEGIN; LOCK TABLE image IN ACCESS EXCLUSIVE MODE")
            counter.reset()
            again = await asyncio.wait_for(client.get(f"{IMAGES}/_search", params=asked), 60)
            await aside.execute("COMMIT")
            assert (again.content, counter.statements, counter.round_trips) == (first.content, 1, 1)


@pytest.mark.parametrize("page", [{}, {"page": "1"}])
async def test_every_write_is_seen(database_url: str, page: dict[str, str]) -> None:
    """A search cached by one service shows every register, update, upload, delete and restore of another."""
    async with serving(settings_for(database_url)) as ours, serving(settings_for(database_url)) as theirs:

        async def seen() -> list[Any]:
            found = [
                await records(client, searchCondition="algo", **page) for client in (ours, theirs) for _ in range(2)
            ]
            assert all(item == found[0] for item in found)
            return [record["pics"] for record in found[0]]

        image_id = await register(ours, "algo/a", pics=1)
        assert await seen() == [1]
        await theirs.post(f"{IMAGES}/_update", json=minimal("algo/a", imageId=image_id, pics=2))
        assert await seen() == [2]
        await upload(ours, [minimal("algo/b", pics=3)])
        assert await seen() == [2, 3]
        await delete(theirs, image_id)
        assert await seen() == [3]
        await ours.post(f"{IMAGES}/{image_id}/_restore")
        assert await seen() == [2, 3]
        execute(database_url, "DELETE FROM image_dependency", "UPDATE image SET live = false, version = version + 1")
        assert await seen() == []


async def test_no_answer_is_older_than_its_request(database_url: str) -> None:
    """While clients write through three workers, every search shows all writes acknowledged before it."""
    acknowledged: set[str] = set()
    sent: set[str] = set()

    async def write(client: httpx.AsyncClient, name: str) -> None:
        sent.add(name)
        await register(client, name)
        acknowledged.add(name)

    async def read(client: httpx.AsyncClient) -> None:
        before = set(acknowledged)
        found = {record["imageName"] for record in await records(client, searchCondition="algo")}
        assert before <= found <= sent

    async def read_on(client: httpx.AsyncClient) -> None:
        while len(acknowledged) < WRITERS * WAVES:
            await read(client)

    async def write_on(client: httpx.AsyncClient) -> None:
        # Waves with pauses: a wrongly cached response shows only while nothing else is committed.
        for wave in range(WAVES):
            await asyncio.gather(*(write(client, f"algo/w{writer}-{wave}") for writer in range(WRITERS)))
            await asyncio.gather(*(read(client) for _ in range(6)))

    async with service(database_url, workers=3) as running, running.client() as client:
        await asyncio.gather(*(read_on(client) for _ in range(4)), write_on(client))


async def test_what_was_read_after_a_stamp_is_not_kept_as_older(database_url: str) -> None:
    """A commit between stamp and read makes the response valid once, and it is not cached as older."""
    async with Database.open(database_url) as database:
        stamps = Stamps(database)
        kept = KeptAnswers(stamps)
        before = await stamps.now()
        execute(database_url, "SELECT pg_current_xact_id()")
        kept.keep("asked", before, Answer(200, b"read later"))
        assert await kept.fresh("asked") is None
        kept.keep("asked", await stamps.now(), Answer(200, b"read anew"))
        assert await kept.fresh("asked") == Answer(200, b"read anew")
        kept.keep("another", "", Answer(200, b"of a standby"))
        assert await kept.fresh("another") is None


async def test_what_is_kept_is_bounded(database_url: str) -> None:
    """The latest responses stay, up to a number of bytes; a very large one does not evict all others."""
    async with Database.open(database_url) as database:
        stamps = Stamps(database)
        kept = KeptAnswers(stamps, most=1_000_000)
        stamp = await stamps.now()
        for number in range(1000):
            kept.keep(str(number), stamp, Answer(200, bytes(9_000)))
            assert await kept.fresh("0") is not None
        kept.keep("large", stamp, Answer(200, bytes(300_000)))
        held = [number for number in range(1000) if str(number) in kept._answers]
        assert held == [0, *range(1000 - len(held) + 1, 1000)]
        assert len(held) == len(kept._answers)
        assert 900_000 < kept._answers.bytes <= 1_000_000


async def test_what_is_asked_counts(database_url: str) -> None:
    """The key counts towards the cache's size, and a response with a very long key is not cached."""
    async with Database.open(database_url) as database:
        stamps = Stamps(database)
        kept = KeptAnswers(stamps, most=1_000_000)
        stamp = await stamps.now()
        for number in range(1000):
            kept.keep(f"{number}{'龘' * 5_000}", stamp, Answer(200, b""))
        assert 900_000 < kept._answers.bytes <= 1_000_000
        assert len(kept._answers) < 100
        kept.keep("龘" * 200_000, stamp, Answer(200, b""))
        assert "龘" * 200_000 not in kept._answers
