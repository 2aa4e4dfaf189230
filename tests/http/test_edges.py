"""Dependency edges: after concurrent writes of an image, its edges match its record."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import product
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.edges import drift
from tests.support.images import IMAGES, PLATFORM, delete, minimal, register, upload
from tests.support.processes import service

FULL = os.environ.get("ALGOPLATFORM_TEST_FULL")
# Rounds per pair of writes, and images per round, each with its own pair at the same time.
ROUNDS, TOGETHER = (200, 10) if FULL else (4, 4)
BASES = [f"algo/base{number}" for number in range(4)]

Headers = dict[str, str]
Write = Callable[[httpx.AsyncClient, str, str, str, Headers], Coroutine[Any, Any, httpx.Response]]


async def _register(client: httpx.AsyncClient, name: str, _: str, needs: str, __: Headers) -> httpx.Response:
    return await client.post(f"{IMAGES}/_register", json=minimal(name, dependencyServiceId=needs))


async def _update(client: httpx.AsyncClient, name: str, image_id: str, needs: str, tag: Headers) -> httpx.Response:
    body = minimal(name, imageId=image_id, dependencyServiceId=needs)
    return await client.post(f"{IMAGES}/_update", json=body, headers=tag)


async def _upload(client: httpx.AsyncClient, name: str, _: str, needs: str, __: Headers) -> httpx.Response:
    return await upload(client, [minimal(name, dependencyServiceId=needs)])


async def _restore(client: httpx.AsyncClient, _: str, image_id: str, __: str, tag: Headers) -> httpx.Response:
    return await client.post(f"{IMAGES}/{image_id}/_restore", json={"version": 1}, headers=tag)


async def _delete(client: httpx.AsyncClient, _: str, image_id: str, __: str, tag: Headers) -> httpx.Response:
    body = {"imageId": image_id, "userResult": PLATFORM}
    return await client.post(f"{IMAGES}/_delete", json=body, headers=tag)


WRITES: list[Write] = [_register, _update, _upload, _restore, _delete]


@pytest.fixture
async def crowd(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of two workers on one database, with images to depend on."""
    async with service(database_url, workers=2) as running, running.client() as client:
        for base in BASES:
            await register(client, base)
        yield client


class _Rounds:
    """Rounds of two concurrent writes to an image that has two versions already."""

    def __init__(self, client: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
        self._client = client
        self._aside = aside
        self._names = (f"algo/round{number}" for number in range(10**6))
        self.statuses: Counter[str] = Counter()

    async def run(self, pair: tuple[Write, Write], count: int, tag: Headers) -> None:
        """Let both writes queue for the images' row locks, then release the locks at once."""
        names = [next(self._names) for _ in range(count)]
        ids = [await self._image(name) for name in names]
        async with self._aside.transaction():
            await self._aside.fetch("SELECT FROM image WHERE image_id = ANY ($1::uuid[]) FOR UPDATE", ids)
            writes = [
                asyncio.create_task(write(self._client, name, image_id, f"{base}:1.0", tag))
                for write, base in zip(pair, BASES[2:], strict=True)
                for name, image_id in zip(names, ids, strict=True)
            ]
            await asyncio.sleep(0.05)
        for answer in await asyncio.gather(*writes):
            self.statuses[answer.json()["status"]] += 1

    async def _image(self, name: str) -> str:
        """Register an image that depends on the first base, then make it depend on the second."""
        image_id = await register(self._client, name, dependencyServiceId=f"{BASES[0]}:1.0")
        await _update(self._client, name, image_id, f"{BASES[1]}:1.0", {})
        return image_id


@pytest.mark.parametrize("tag", [{}, {"if-match": '"2"'}], ids=["plain", "if-match"])
async def test_every_pair_of_writes(crowd: httpx.AsyncClient, aside: asyncpg.Connection, tag: Headers) -> None:
    """After any two concurrent writes of an image, its edges are exactly those that its record names."""
    rounds = _Rounds(crowd, aside)
    for pair in product(WRITES, WRITES):
        for _ in range(ROUNDS // TOGETHER):
            await rounds.run(pair, TOGETHER, tag)
        assert await drift(aside) == (set(), set()), pair
    assert rounds.statuses["0"] > len(WRITES) * ROUNDS
    assert set(rounds.statuses) <= {"0", "203", "204", "-412", "-429", "-503"}, rounds.statuses


async def test_updates_that_waited(client: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """Unconditional updates that all wait for the image's row leave the edges of the last one."""
    for base in BASES:
        await register(client, base)
    image_id = await register(client, "algo/app")
    for _ in range(5):
        async with aside.transaction():
            await aside.fetch("SELECT FROM image WHERE image_id = $1 FOR UPDATE", image_id)
            work = [asyncio.create_task(_update(client, "algo/app", image_id, f"{base}:1.0", {})) for base in BASES[:3]]
            await asyncio.sleep(0.1)
        assert all([(await item).status_code == 200 for item in work])
        assert await drift(aside) == (set(), set())


async def test_delete_is_not_in_the_way_of_what_nobody_names(
    client: httpx.AsyncClient, aside: asyncpg.Connection
) -> None:
    """A dependency that an update has dropped can be deleted, whatever ran concurrently."""
    old, new = [await register(client, base) for base in BASES[:2]]
    image_id = await register(client, "algo/app")
    async with aside.transaction():
        await aside.fetch("SELECT FROM image WHERE image_id = $1 FOR UPDATE", image_id)
        work = [asyncio.create_task(_update(client, "algo/app", image_id, f"{base}:1.0", {})) for base in BASES[:2]]
        await asyncio.sleep(0.1)
    assert all([(await item).status_code == 200 for item in work])
    needs = (await client.get(f"{IMAGES}/{image_id}")).json()["res"]["dependencyServiceId"]
    unnamed, named = (new, old) if needs.startswith(BASES[0]) else (old, new)
    assert (await delete(client, named)).json()["status"] == "220"
    assert (await delete(client, unnamed)).json()["status"] == "0"
