"""What pages read besides a record: neighbours, earlier versions, recent changes, deletes in the caller's scope."""

import asyncio
import time
from datetime import timedelta
from uuid import uuid4

import asyncpg
import httpx
import pytest

from algoplatform.domain.access import OPERATOR, Caller
from algoplatform.domain.errors import Forbidden, ImageInUse, ImageNotFound
from algoplatform.runtime import Runtime
from tests.support.images import register
from tests.support.service import settings_for


async def test_neighbours(client: httpx.AsyncClient, database_url: str) -> None:
    """An image's dependencies and dependents, each with its id, without the image itself."""
    base = await register(client, "algo/base")
    users = {
        f"algo/u{at:02}:1.0": await register(client, f"algo/u{at:02}", dependencyServiceId="algo/base:1.0")
        for at in range(60)
    }
    async with Runtime.open(settings_for(database_url)) as runtime:
        found = await runtime.images.neighbours(base)
        assert (found.needs, len(found.dependents), found.total) == ({}, 50, 60)
        assert found.dependents.items() <= users.items()
        first = await runtime.images.neighbours(users["algo/u00:1.0"])
        assert (first.needs, first.dependents, first.total) == ({"algo/base:1.0": base}, {}, 0)


async def test_at_version(client: httpx.AsyncClient, database_url: str) -> None:
    """A record at an earlier version, or None if there is none."""
    image_id = await register(client, "algo/a")
    async with Runtime.open(settings_for(database_url)) as runtime:
        await runtime.images.remove(OPERATOR, image_id, [1])
        first, second = [await runtime.revisions.at_version(image_id, version) for version in (1, 2)]
        assert first and second
        assert (first["deleteFlag"], second["deleteFlag"]) == ("0", "1")
        assert await runtime.revisions.at_version(image_id, 3) is None
        assert await runtime.revisions.at_version(uuid4().hex, 1) is None


async def test_remove(client: httpx.AsyncClient, database_url: str) -> None:
    """A delete is limited by the caller's own scope, as pages have no userResult."""
    base = await register(client, "algo/base")
    await register(client, "algo/user", dependencyServiceId="algo/base:1.0")
    async with Runtime.open(settings_for(database_url, platform_authorities=frozenset())) as runtime:
        for caller in (Caller(1, frozenset()), Caller(2, frozenset({"other"}))):
            with pytest.raises(Forbidden):
                await runtime.images.remove(caller, base)
        with pytest.raises(ImageInUse):
            await runtime.images.remove(Caller(2, frozenset({"algo"})), base)
        with pytest.raises(ImageNotFound):
            await runtime.images.remove(OPERATOR, uuid4().hex)


async def test_recent_changes(client: httpx.AsyncClient, database_url: str) -> None:
    """Every write counts, deletes too; the count is read at most every ten seconds."""
    async with Runtime.open(settings_for(database_url)) as runtime:
        began = await runtime.recent.now()
        ids = [await register(client, f"algo/{at}") for at in range(3)]
        await runtime.images.remove(OPERATOR, ids[0])
        assert await runtime.recent.since(began) == 3
        assert await runtime.recent.since(began + timedelta(hours=1)) == 0
        await register(client, "algo/later")
        assert await runtime.recent.since(began) == 3
        runtime.recent._times._until = 0
        assert await runtime.recent.since(began) == 4


async def test_slow_reads_of_recent_changes_are_rare(client: httpx.AsyncClient, database_url: str) -> None:
    """After a slow read, the next one waits twenty times as long as the read took."""
    await register(client, "algo/a")
    locker = await asyncpg.connect(database_url)
    try:
        async with Runtime.open(settings_for(database_url)) as runtime:
            began = await runtime.recent.now()
            transaction = locker.transaction()
            await transaction.start()
            await locker.execute("LOCK TABLE image IN ACCESS EXCLUSIVE MODE")
            reading = asyncio.create_task(runtime.recent.since(began))
            await asyncio.sleep(1)
            await transaction.rollback()
            assert await reading == 0
            assert runtime.recent._times._until - time.monotonic() > 15
    finally:
        await locker.close()
