"""Verifying registered images: stored facts, answers, authorization."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from algoplatform.domain.access import OPERATOR
from algoplatform.domain.search import check_conditions
from algoplatform.runtime import Runtime
from algoplatform.storage.images import artifacts as stored
from tests.registries.test_hostile import DIGEST, honest, setting
from tests.support.images import IMAGES, delete, register
from tests.support.oci import CONFIG, Layout
from tests.support.registry import Registry, needs_registry
from tests.support.replies import Replies, replying
from tests.support.service import serving, settings_for


@asynccontextmanager
async def service(database_url: str, text: str, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that is configured with these registries."""
    async with serving(settings_for(database_url, registries=SecretStr(text), **more)) as client:
        yield client


async def verified(client: httpx.AsyncClient, image_id: str) -> dict[str, Any]:
    """Verify an image; return its facts, which must equal what the artifact route returns."""
    answer = await client.post(f"{IMAGES}/{image_id}/_verify")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["res"]
    assert (await client.get(f"{IMAGES}/{image_id}/artifact")).json()["res"] == found
    return found


@needs_registry
async def test_life(database_url: str, tmp_path: Path, layout: Layout, aside: asyncpg.Connection) -> None:
    """An image is pushed, verified, moved and deleted, and its registry is stopped; the record never changes."""
    registry = Registry(tmp_path)
    layout.tag(layout.index([layout.image(), layout.attestation()]), "a")
    layout.tag(layout.image(text="new"), "b")
    async with service(database_url, registry.setting()) as client:
        image_id = await register(client, f"{registry.host}/algo/x")
        before = (await client.get(f"{IMAGES}/{image_id}")).content
        never = await client.get(f"{IMAGES}/{image_id}/artifact")
        assert (never.status_code, never.json()["status"]) == (404, "204")
        with registry.running():
            await asyncio.to_thread(registry.push, layout.folder, "a", "algo/x:1.0")
            found = await verified(client, image_id)
            assert list(found) == ["state", "digest", "mediaType", "checkedAt", "message", "platforms"]
            assert (found["state"], found["message"]) == ("present", None)
            assert found["digest"] == await asyncio.to_thread(registry.digest, "algo/x:1.0")
            [platform] = found["platforms"]
            assert (platform["entrypoint"], platform["user"]) == (CONFIG["Entrypoint"], CONFIG["User"])
            again = await verified(client, image_id)
            assert again | {"checkedAt": None} == found | {"checkedAt": None}
            await asyncio.to_thread(registry.push, layout.folder, "b", "algo/x:1.0")
            moved = await verified(client, image_id)
            assert moved["digest"] == await asyncio.to_thread(registry.digest, "algo/x:1.0") != found["digest"]
            assert (await _facts(aside, image_id))["moved"]
            await asyncio.to_thread(registry.delete, "algo/x:1.0")
            gone = await verified(client, image_id)
            assert (gone["state"], gone["digest"], gone["platforms"]) == ("missing", None, [])
            await asyncio.to_thread(registry.push, layout.folder, "b", "algo/x:1.0")
            back = await verified(client, image_id)
            assert (back["digest"], back["platforms"]) == (moved["digest"], moved["platforms"])
        stopped = await verified(client, image_id)
        assert (stopped["state"], stopped["digest"]) == ("unreachable", moved["digest"])
        assert stopped["message"].startswith("仓库无法连接")
        assert (await client.get(f"{IMAGES}/{image_id}")).content == before


async def _facts(connection: Any, image_id: str) -> dict[str, Any]:
    return (await stored.facts(connection, [image_id]))[image_id]


async def test_record_accepts_a_move(database_url: str, aside: asyncpg.Connection) -> None:
    """An image whose tag has moved counts as moved until its record is updated."""
    digests = iter(["a", "b", "b", "b"])
    async with Runtime.open(settings_for(database_url)) as runtime, serving(settings_for(database_url)) as client:
        image_id = await register(client, "algo/x")
        moved = []
        for version in range(4):
            outcome = stored.Outcome(image_id, "present", next(digests), "kind", None, "[]")
            async with runtime.database.connection() as connection:
                await stored.write(connection, [outcome])
                moved.append((await stored.facts(connection, [image_id]))[image_id]["moved"])
                assert await stored.digests(connection, [image_id, "0" * 32]) == {image_id: outcome.digest}
                state = "moved" if moved[-1] else "present"
                assert await stored.states(connection, [image_id, "0" * 32]) == {image_id: state}
            if version == 2:
                record = (await client.get(f"{IMAGES}/{image_id}")).json()["res"]
                assert (await client.post(f"{IMAGES}/_update", json=record)).status_code == 200
                async with runtime.database.connection() as connection:
                    assert not (await stored.facts(connection, [image_id]))[image_id]["moved"]
                assert (await client.get(f"{IMAGES}/_lint?rule=artifact-moved")).json()["res"]["total"] == 0
        assert moved == [False, True, True, False]


async def test_gone_with_the_image(database_url: str, aside: asyncpg.Connection) -> None:
    """Deleting an image deletes its facts, and facts of a deleted image are not stored."""
    async with replying(honest) as served, service(database_url, setting(served)) as client:
        image_id = await register(client, f"{served.host}/algo/x")
        await verified(client, image_id)
        await delete(client, image_id)
        assert await aside.fetchval("SELECT count(*) FROM image_artifact") == 0
        for path in (f"{IMAGES}/{image_id}/_verify", f"{IMAGES}/{'0' * 32}/_verify"):
            assert (await client.post(path)).json()["status"] == "204"
        assert (await client.get(f"{IMAGES}/{image_id}/artifact")).json()["status"] == "204"
    async with Runtime.open(settings_for(database_url)) as runtime, runtime.database.connection() as connection:
        assert await stored.write(connection, [stored.Outcome(image_id, "missing", platforms="[]")]) == []


async def test_names_without_host(database_url: str) -> None:
    """An image name without a host is looked up in the registry set for rendering, and nowhere if there is none."""
    async with replying(honest) as served:
        async with service(database_url, setting(served)) as client:
            image_id = await register(client, "algo/x")
            assert (await verified(client, image_id))["state"] == "not-configured"
            assert served.asked == []
        async with service(database_url, setting(served), render={"registry": served.host}) as client:
            assert (await verified(client, image_id))["state"] == "present"
            other = await register(client, "elsewhere.local/algo/x")
            found = await verified(client, other)
            assert (found["state"], found["digest"], found["mediaType"]) == ("not-configured", None, None)
            assert "ALGOPLATFORM_REGISTRIES" in found["message"]
    assert served.asked[0].path == "/v2/algo/x/manifests/1.0"


@pytest.fixture
async def many(database_url: str) -> AsyncIterator[tuple[httpx.AsyncClient, Replies]]:
    """A service with images in two namespaces, and one image whose name has no host."""
    async with replying(honest) as served, service(database_url, setting(served)) as client:
        for name in (f"{served.host}/algo/x", f"{served.host}/algo/y", f"{served.host}/other/z", "algo/none"):
            await register(client, name)
        yield client, served


async def test_sets(many: tuple[httpx.AsyncClient, Replies]) -> None:
    """A set is selected by the conditions of a search, in the query or the body, and its result is counted by state."""
    client, _ = many

    async def found(query: str = "", **body: Any) -> Any:
        answer = await client.post(f"{IMAGES}/_verify{query}", json=body)
        return answer.json()["res"] if answer.status_code == 200 else answer.json()["status"]

    assert (await client.post(f"{IMAGES}/_verify")).json()["res"] == {
        "total": 4,
        "states": {"not-configured": 1, "present": 3},
    }
    assert await found("?namespace=other") == {"total": 1, "states": {"present": 1}}
    assert (await found("?namespace=other", namespace="algo"))["total"] == 3
    assert (await found(page=2, pageSize=3))["total"] == 1
    assert (await found(pageSize=2, before="algo/none:1.0"))["total"] == 2
    assert (await found(searchCondition="/y"))["total"] == 1
    assert await found(namespace="none") == {"total": 0, "states": {}}
    assert await found(nonsense=1) == "202"
    assert await found(userResult={"authority": "x"}, nonsense=1) == "202"
    assert (await client.post(f"{IMAGES}/_verify", json=[1])).json()["status"] == "-1"


async def test_authority(many: tuple[httpx.AsyncClient, Replies]) -> None:
    """Verifying needs write access to the image, or to all namespaces of a set; otherwise no registry is contacted."""
    client, served = many
    named = (await client.get(f"{IMAGES}/_search?namespace=algo")).json()["res"]["data"]
    image_id = named[-1]["imageId"]
    for user, status in (
        ({"authority": 1}, "0"),
        ({"authority": 2, "namespace": "algo"}, "0"),
        ({"authority": 2, "namespace": "other"}, "240"),
        ({"authority": 9}, "240"),
        ({"authority": None}, "202"),
        ({"authority": 1, "more": 1}, "202"),
    ):
        answer = await client.post(f"{IMAGES}/{image_id}/_verify", json={"userResult": user})
        assert answer.json()["status"] == status
    answer = await client.post(f"{IMAGES}/{image_id}/_verify", json={"nonsense": 1})
    assert answer.json()["status"] == "202"
    served.asked.clear()
    user = {"authority": 2, "namespace": "algo"}
    assert (await client.post(f"{IMAGES}/_verify", json={"userResult": user})).json()["status"] == "240"
    assert (await client.post(f"{IMAGES}/_verify?page=1", json={"userResult": user})).json()["status"] == "240"
    assert served.asked == []
    answer = await client.post(f"{IMAGES}/_verify?namespace=algo", json={"userResult": user})
    assert answer.json()["res"]["total"] == 3


async def test_no_connection_is_held(database_url: str) -> None:
    """A request that waits for a registry holds no database connection: others get the only one of the pool."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(_: Any) -> AsyncIterator[bytes]:
        asked.set()
        await go.wait()
        yield b""

    async with replying(slow) as served, service(database_url, setting(served), pool_size=1) as client:
        image_id = await register(client, f"{served.host}/algo/x")
        running = [
            asyncio.create_task(client.post(path)) for path in (f"{IMAGES}/{image_id}/_verify", f"{IMAGES}/_verify")
        ]
        async with asyncio.timeout(30):
            await asked.wait()
            assert (await client.get(f"{IMAGES}/{image_id}")).status_code == 200
        go.set()
        states = [answer.json()["res"] for answer in await asyncio.gather(*running)]
        assert [states[0]["state"], states[1]["states"]] == ["unreachable", {"unreachable": 1}]


async def test_pages(database_url: str, aside: asyncpg.Connection) -> None:
    """A set of more images than a batch is verified completely, and the reported progress adds up to all of them."""
    async with (
        replying(honest) as served,
        Runtime.open(settings_for(database_url, registries=SecretStr(setting(served)))) as runtime,
    ):
        async with serving(settings_for(database_url)) as client:
            await register(client, "elsewhere.local/algo/base")
        await aside.execute(_MANY)
        progress: list[int] = []
        conditions = check_conditions({"namespace": "algo"})
        found = await runtime.artifacts.verify_set(OPERATOR, conditions, advance=progress.append)
        assert found.document() == {"total": 1101, "states": {"not-configured": 1101}}
        assert sum(progress) == await runtime.artifacts.count(conditions) == 1101
        assert len(progress) == 3


_MANY = """
INSERT INTO image (image_id, image_name, image_tag, namespace, factory, algo_type, search, record)
SELECT id, 'elsewhere.local/algo/i' || n, '1', namespace, factory, algo_type, search,
       replace(record, replace(image_id::text, '-', ''), replace(id::text, '-', ''))
FROM image, (SELECT n, gen_random_uuid() AS id FROM generate_series(1, 1100) AS n) AS more
"""


async def test_due(database_url: str, aside: asyncpg.Connection) -> None:
    """The periodic check verifies images that are due; while one process runs it, the others skip it."""
    async with replying(honest) as served:
        settings = settings_for(database_url, registries=SecretStr(setting(served)))
        async with serving(settings) as client, Runtime.open(settings) as one, Runtime.open(settings) as other:
            await register(client, f"{served.host}/algo/x")
            await register(client, "algo/none")
            lock = aside.transaction()
            await lock.start()
            assert await aside.fetchval("SELECT pg_try_advisory_xact_lock(4715962, 1)")
            assert await one.artifacts.verify_due(3600) == 0
            await lock.rollback()
            counts = await asyncio.gather(one.artifacts.verify_due(3600), other.artifacts.verify_due(3600))
            assert sorted(counts) == [0, 2]
            assert await one.artifacts.verify_due(3600) == 0
            await aside.execute(
                "UPDATE image_artifact SET checked_at = now() - interval '2 hours' WHERE digest IS NULL"
            )
            assert await one.artifacts.verify_due(3600) == 1


async def test_digests(many: tuple[httpx.AsyncClient, Replies], database_url: str) -> None:
    """The last known digests are found by reference, for the comparison with a cluster."""
    client, served = many
    name = f"{served.host}/algo/x:1.0"
    assert (await client.post(f"{IMAGES}/_verify")).status_code == 200
    async with Runtime.open(settings_for(database_url)) as runtime:
        asked = [name, name, "algo/none:1.0", "algo/never:1.0", "no reference"]
        assert await runtime.artifacts.digests(asked) == {name: DIGEST}
