"""`_delete`: permissions, conflicts, and what remains."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.images import IMAGES, PLATFORM, delete, records, register


@pytest.mark.parametrize(
    ("authority", "namespace", "http"),
    [
        (1, "", 200),
        (1, "other", 200),
        ("1", "", 200),
        (2, "algo", 200),
        (3, "algo", 200),
        (3, "other", 403),
        (3, "alg", 403),
        (3, "", 403),
        (0, "algo", 403),
        (4, "algo", 403),
    ],
)
async def test_authority(client: httpx.AsyncClient, authority: Any, namespace: str, http: int) -> None:
    """Some authorities delete anywhere, some in their own namespace, others nowhere."""
    image_id = await register(client)
    answer = await delete(client, image_id, authority=authority, namespace=namespace)
    assert answer.status_code == http
    assert answer.json()["status"] == ("0" if http == 200 else "240")
    assert len(await records(client)) == (0 if http == 200 else 1)


async def test_image_without_namespace_is_for_the_platform(client: httpx.AsyncClient) -> None:
    """An image without a namespace belongs to no one's own namespace."""
    image_id = await register(client, "test1.0")
    assert (await delete(client, image_id, authority=3, namespace="test1.0")).json()["status"] == "240"
    assert (await delete(client, image_id)).json() == {"status": "0", "res": None, "msg": "删除成功"}


async def test_dependents_are_named(client: httpx.AsyncClient) -> None:
    """An image with dependents stays, and the error names them; a dependency on itself does not count."""
    image_id = await register(client, dependencyServiceId="algo/a:1.0")
    dependents = [await register(client, f"algo/d{n:02}", dependencyServiceId="algo/a:1.0") for n in range(22)]
    answer = await delete(client, image_id)
    assert (answer.status_code, answer.json()["status"]) == (409, "220")
    assert "algo/d00:1.0，algo/d01:1.0" in answer.json()["msg"]
    assert "等22个镜像" in answer.json()["msg"]
    for dependent in dependents:
        assert (await delete(client, dependent)).status_code == 200
    assert (await delete(client, image_id)).status_code == 200


async def test_deleted_row_is_kept_and_marked(client: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """Deletes are soft: the row stays with deleteFlag 1, and a second delete finds no image."""
    image_id = await register(client)
    await delete(client, image_id)
    again = await delete(client, image_id)
    assert (again.status_code, again.json()["status"]) == (404, "204")
    [row] = await aside.fetch("SELECT live, record FROM image")
    assert row["live"] is False
    assert '"deleteFlag":"1"' in row["record"]


async def delete_if(client: httpx.AsyncClient, image_id: str, tags: str, **user: Any) -> str:
    """Delete an image with these entity tags; return the envelope's status."""
    body = {"imageId": image_id, "userResult": user or PLATFORM}
    answer = await client.post(f"{IMAGES}/_delete", json=body, headers={"if-match": tags})
    status: str = answer.json()["status"]
    assert answer.status_code == {"0": 200, "-412": 412, "-1": 400}.get(status, 403)
    return status


async def test_if_match(client: httpx.AsyncClient) -> None:
    """A stale ETag prevents the delete, and is reported only to permitted callers; a current one passes."""
    image_id = await register(client, "algo/a", dependencyServiceId="algo/a:1.0")
    for stale in ('"2"', 'W/"2"'):
        assert await delete_if(client, image_id, stale) == "-412"
    for malformed in ("1", ""):
        assert await delete_if(client, image_id, malformed) == "-1"
    assert await delete_if(client, image_id, '"2"', authority=3, namespace="other") == "240"
    assert len(await records(client)) == 1
    assert await delete_if(client, image_id, '"9", "1"') == "0"
    assert await records(client) == []


async def test_if_match_of_an_image_that_is_changing(client: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """A delete that waits for a concurrent change does not delete a version its client has not seen."""
    image_id = await register(client)
    async with asyncio.timeout(60), aside.transaction():
        await aside.execute("UPDATE image SET version = version + 1")
        waiting = asyncio.create_task(delete_if(client, image_id, '"1"'))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not await aside.fetchval(waits):  # noqa: ASYNC110 - the database has no event to wait for
            await asyncio.sleep(0.01)
    assert await waiting == "-412"
    assert len(await records(client)) == 1
    assert await delete_if(client, image_id, "*") == "0"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "imageId不能为空；userResult不能为空"),
        ({"imageId": "x", "userResult": 1}, "imageId须为32位小写十六进制字符串；userResult须为JSON对象"),
        ({"imageId": "0" * 32, "userResult": {}}, "userResult.authority不能为空"),
        ({"imageId": "  ", "userResult": {"authority": " "}}, "imageId不能为空；userResult.authority不能为空"),
        ({"imageId": "", "userResult": "\t"}, "imageId不能为空；userResult不能为空"),
        ({"imageId": "0" * 32, "userResult": {"authority": True}}, "userResult.authority须为整数"),
        ({"imageId": "0" * 32, "userResult": {"authority": 1, "namespace": 5}}, "userResult.namespace须为字符串"),
        ({"imageId": "0" * 32, "userResult": {"authority": 1, "x": 5}}, "userResult.x不是已知字段"),
        ({"imageId": "0" * 32, "userResult": {"authority": 1}, "force": 1}, "force不是已知字段"),
    ],
)
async def test_broken_body(client: httpx.AsyncClient, body: dict[str, Any], message: str) -> None:
    """Every fault of the request is reported at once."""
    answer = await client.post(f"{IMAGES}/_delete", json=body)
    assert (answer.status_code, answer.json()["status"]) == (422, "202")
    assert answer.json()["msg"] == message
