"""An image's history: revisions, their actors, and restoring one."""

import asyncio
import hashlib
from collections import Counter
from itertools import pairwise
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from tests.http.test_streams import FILL
from tests.support.images import IMAGES, delete, minimal, records, register, upload
from tests.support.postgres import execute
from tests.support.processes import service
from tests.support.service import serving, settings_for

Json = dict[str, Any]


async def history(client: httpx.AsyncClient, image_id: str, **query: Any) -> list[Json]:
    """Return an image's revisions, latest first."""
    answer = await client.get(f"{IMAGES}/{image_id}/history", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["msg"] == "查询成功"
    found: list[Json] = answer.json()["res"]["data"]
    return found


async def restore(client: httpx.AsyncClient, image_id: str, body: Any = None, **headers: str) -> httpx.Response:
    """Restore an image; without a body if none is given."""
    url = f"{IMAGES}/{image_id}/_restore"
    return await client.post(url, headers=headers, **({} if body is None else {"json": body}))


async def update(client: httpx.AsyncClient, image_id: str, **fields: Any) -> None:
    """Update the image that `register` registers."""
    answer = await client.post(f"{IMAGES}/_update", json=minimal(imageId=image_id, **fields))
    assert answer.status_code == 200, answer.text


def said(answer: httpx.Response) -> tuple[int, str]:
    """Return the HTTP status and the status of the envelope."""
    return answer.status_code, answer.json()["status"]


def sign(client: httpx.AsyncClient, user: str, request_id: str) -> None:
    """Set a gateway's headers, in UTF-8, on the client's further requests."""
    client.headers = httpx.Headers({"x-user": user, "x-request-id": request_id}, encoding="utf-8")


async def test_every_operation_leaves_its_revision(database_url: str) -> None:
    """Each revision names actor and request, and holds the records before and after in wire format."""
    async with serving(settings_for(database_url, actor_header="X-User")) as client:
        sign(client, "ann", "r1")
        image_id = await register(client)
        seen = [None, *await records(client)]
        sign(client, "王", "r2")
        await update(client, image_id, env="A:1")
        seen += await records(client)
        sign(client, "bob", "r3")
        assert (await upload(client, [minimal(env="A:2")])).status_code == 200
        seen += await records(client)
        sign(client, "", "r4")
        await delete(client, image_id)
        sign(client, "c" * 255, "r5")
        assert said(await restore(client, image_id)) == (200, "0")
        seen += [{**(seen[-1] or {}), "deleteFlag": "1"}, *await records(client)]
        found = await history(client, image_id)
    assert [(item["version"], item["operation"], item["requestId"]) for item in found] == [
        (5, "restore", "r5"),
        (4, "delete", "r4"),
        (3, "upload", "r3"),
        (2, "update", "r2"),
        (1, "register", "r1"),
    ]
    assert [item["actor"] for item in found] == ["c" * 255, None, "bob", "王", "ann"]
    assert [(item["before"], item["after"]) for item in reversed(found)] == list(pairwise(seen))
    assert list(found[0]) == ["version", "operation", "time", "actor", "requestId", "before", "after"]
    times = [item["time"] for item in found]
    assert times == sorted(times, reverse=True)
    assert all(len(time) == len("2026-11-03T08:30:00.000Z") and time.endswith("Z") for time in times)


async def test_an_upload_leaves_revisions_where_it_changes_something(client: httpx.AsyncClient) -> None:
    """A new image gets a revision, a changed one another, an unchanged one none."""
    for expected, content in ((1, minimal("algo/new")), (1, minimal("algo/new")), (2, minimal("algo/new", pics=1))):
        assert (await upload(client, [content])).status_code == 200
        [record] = await records(client)
        found = await history(client, record["imageId"])
        assert [item["operation"] for item in found] == ["upload"] * expected
    assert (found[0]["before"]["pics"], found[0]["after"]["pics"], found[1]["before"]) == (None, 1, None)


async def test_actor_is_the_gateways_alone(database_url: str) -> None:
    """If such a header is sent twice, one of them is the client's own; a header that is not configured is ignored."""
    async with serving(settings_for(database_url, actor_header="X-User")) as client:
        twice = [("x-user", "ann"), ("x-user", "root")]
        answer = await client.post(f"{IMAGES}/_register", json=minimal(), headers=twice)
        assert said(answer) == (422, "-1")
    async with serving(settings_for(database_url)) as client:
        image_id = await register(client)
        await client.post(
            f"{IMAGES}/_update", json=minimal(imageId=image_id), headers={"x-user": "root", "actor": "root"}
        )
        assert [item["actor"] for item in await history(client, image_id)] == [None, None]


async def test_paging(client: httpx.AsyncClient) -> None:
    """Pages run from the latest revision on, each with its change, and include the total."""
    image_id = await register(client, pics=1)
    for pics in range(2, 6):
        await update(client, image_id, pics=pics)
    pages = [await history(client, image_id, page=page, pageSize="2") for page in (1, 2, 3, 4)]
    assert [[item["version"] for item in page] for page in pages] == [[5, 4], [3, 2], [1], []]
    assert [(item["before"] or {}).get("pics") for page in pages for item in page] == [4, 3, 2, 1, None]
    answer = await client.get(f"{IMAGES}/{image_id}/history", params={"page": 9, "pageSize": ""})
    assert len(await history(client, image_id, pageSize=100)) == 5
    assert answer.json()["res"] == {"data": [], "total": 5}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=0", "page须为"),
        ("page=x&pageSize=101", "page须为整数；pageSize须为1至100的整数"),
        ("pageSize=-1", "pageSize须为整数"),
        ("algoType=0", "algoType不是已知字段"),
    ],
)
async def test_wrong_pages(client: httpx.AsyncClient, query: str, message: str) -> None:
    """A wrong page is reported like any wrong field."""
    answer = await client.get(f"{IMAGES}/{await register(client)}/history?{query}")
    assert said(answer) == (422, "202")
    assert message in answer.json()["msg"]


@pytest.mark.parametrize("image_id", ["0" * 32, "x", "C" * 32])
async def test_no_such_image(client: httpx.AsyncClient, image_id: str) -> None:
    """An image that never existed has no history, and cannot be restored."""
    answers = [await client.get(f"{IMAGES}/{image_id}/history"), await restore(client, image_id)]
    assert [said(answer) for answer in answers] == [(404, "204")] * 2


async def test_repeated_condition(client: httpx.AsyncClient) -> None:
    """Repeated parameters are ambiguous."""
    answer = await client.get(f"{IMAGES}/{await register(client)}/history?page=1&page=2")
    assert said(answer) == (422, "-1")


async def test_undelete(client: httpx.AsyncClient) -> None:
    """A deleted image is restored under its id: it is found, can be read and depended on."""
    await register(client, "algo/base")
    image_id = await register(client, algoDesc="描述", dependencyServiceId="algo/base:1.0", eventType=7)
    [_, before] = sorted(await records(client), key=lambda record: record["imageName"] == "algo/a")
    await delete(client, image_id)
    assert (await history(client, image_id))[0]["operation"] == "delete"
    answer = await restore(client, image_id)
    assert answer.json() == {"status": "0", "res": None, "msg": "恢复成功"}
    assert answer.headers["etag"] == '"3"'
    assert await records(client, searchCondition="描述", eventType=7) == [before]
    read = await client.get(f"{IMAGES}/{image_id}")
    assert (read.json()["res"], read.headers["etag"]) == (before, '"3"')
    [base] = await records(client, searchCondition="base")
    assert said(await delete(client, base["imageId"])) == (409, "220")


@pytest.mark.parametrize("version", [1, "1"])
async def test_back_to_a_version(client: httpx.AsyncClient, version: int | str) -> None:
    """The record is that of the version, for searches too; edges that it does not name are removed."""
    base = await register(client, "algo/base")
    image_id = await register(client, factory="旧厂", pics=1)
    [first] = await records(client, searchCondition="旧厂")
    await update(client, image_id, factory="新厂", pics=None, dependencyServiceId="algo/base:1.0")
    assert said(await restore(client, image_id, {"version": version})) == (200, "0")
    assert await records(client, searchCondition="旧厂") == [first]
    assert await records(client, searchCondition="新厂") == []
    assert said(await delete(client, base)) == (200, "0")
    await delete(client, image_id)
    assert said(await restore(client, image_id, {"version": 3})) == (200, "0")
    assert await records(client) == [first]


@pytest.mark.parametrize(
    ("body", "http", "status", "message"),
    [
        ({}, 422, "202", "version不能为空：镜像未删除，须指明恢复到哪个版本"),
        ({"version": None}, 422, "202", "version不能为空"),
        ({"version": 9}, 422, "202", "version不存在：9"),
        ({"version": 0}, 422, "202", "version不存在：0"),
        ({"version": -1}, 422, "202", "version须为0至2147483647的整数"),
        ({"version": 2**31}, 422, "202", "version须为0至2147483647的整数"),
        ({"version": True}, 422, "202", "version须为整数"),
        ({"version": 1.0}, 422, "202", "version须为整数"),
        ({"version": [1]}, 422, "202", "version须为整数"),
        ({"version": 1, "force": True}, 422, "202", "force不是已知字段"),
        ([1], 422, "-1", "请求体须为JSON对象"),
    ],
)
async def test_wrong_bodies(client: httpx.AsyncClient, body: Any, http: int, status: str, message: str) -> None:
    """A wrong request writes nothing."""
    image_id = await register(client)
    answer = await restore(client, image_id, body)
    assert said(answer) == (http, status)
    assert message in answer.json()["msg"]
    assert len(await history(client, image_id)) == 1


async def test_name_taken(client: httpx.AsyncClient) -> None:
    """An image cannot be restored while another has its name and tag, in either error format."""
    old = await register(client)
    await delete(client, old)
    new = await register(client)
    assert said(await restore(client, old)) == (409, "203")
    answer = await restore(client, old, accept="application/problem+json", **{"idempotency-key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (409, "203")
    assert [record["imageId"] for record in await records(client)] == [new]
    await delete(client, new)
    assert said(await restore(client, old)) == (200, "0")


async def test_dependency_gone(client: httpx.AsyncClient) -> None:
    """An image cannot be restored while one of its dependencies is missing."""
    base = await register(client, "algo/base")
    image_id = await register(client, dependencyServiceId="algo/base:1.0,algo/a:1.0")
    await delete(client, image_id)
    await delete(client, base)
    answer = await restore(client, image_id)
    assert said(answer) == (422, "308")
    assert "“algo/base:1.0”未注册" in answer.json()["msg"]
    assert said(await restore(client, base)) == (200, "0")
    assert said(await restore(client, image_id)) == (200, "0")


async def test_todays_rules(database_url: str) -> None:
    """A restored record is checked by the current rules."""
    async with serving(settings_for(database_url, node_port_range="20000-20010")) as client:
        image_id = await register(client, imagePorts="http:80:20001")
        await delete(client, image_id)
    async with serving(settings_for(database_url)) as client:
        assert said(await restore(client, image_id)) == (422, "208")


async def test_if_match(client: httpx.AsyncClient) -> None:
    """A stale tag prevents the restore; the current one, also of a deleted image, passes."""
    image_id = await register(client)
    await delete(client, image_id)
    assert said(await restore(client, image_id, **{"if-match": '"1"'})) == (412, "-412")
    assert await records(client) == []
    answer = await restore(client, image_id, **{"if-match": '"1", "2"'})
    assert (said(answer), answer.headers["etag"]) == ((200, "0"), '"3"')
    assert said(await restore(client, image_id, {"version": 1}, **{"if-match": '"2"'})) == (412, "-412")


async def test_idempotency_key(client: httpx.AsyncClient) -> None:
    """A repeat gets the first response and restores nothing again; a key is valid for one request."""
    image_id = await register(client)
    await delete(client, image_id)
    key = {"idempotency-key": "k"}
    answers = [await restore(client, image_id, **key) for _ in range(2)]
    assert [(said(answer), answer.headers["etag"]) for answer in answers] == [((200, "0"), '"3"')] * 2
    assert len(await history(client, image_id)) == 3
    assert said(await restore(client, image_id, {"version": 1}, **key)) == (422, "-1")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE image_revision SET actor = 'mallory'", "DELETE FROM image_revision", "TRUNCATE image_revision"],
)
async def test_append_only(client: httpx.AsyncClient, aside: asyncpg.Connection, statement: str) -> None:
    """The database itself protects revisions, even against its owner's mistakes."""
    image_id = await register(client)
    await update(client, image_id)
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await aside.execute(statement)
    assert len(await history(client, image_id)) == 2


async def test_races_for_a_name(client: httpx.AsyncClient) -> None:
    """Of concurrent restores and registers of a name exactly one succeeds, and its image is live."""
    deleted = []
    for _ in range(10):
        deleted.append(await register(client))
        await delete(client, deleted[-1])
    attempts = [restore(client, image_id) for image_id in deleted]
    attempts += [client.post(f"{IMAGES}/_register", json=minimal()) for _ in range(10)]
    answers = await asyncio.gather(*attempts)
    assert Counter(map(said, answers)) == {(200, "0"): 1, (409, "203"): 19}
    [record] = await records(client)
    assert said(await client.get(f"{IMAGES}/{record['imageId']}")) == (200, "0")


async def test_races_for_an_image(client: httpx.AsyncClient) -> None:
    """Of concurrent restores of a deleted image one succeeds; going back to a version never conflicts."""
    image_id = await register(client)
    await delete(client, image_id)
    answers = await asyncio.gather(*(restore(client, image_id) for _ in range(20)))
    assert Counter(map(said, answers)) == {(200, "0"): 1, (422, "202"): 19}
    answers = await asyncio.gather(*(restore(client, image_id, {"version": 1}) for _ in range(10)))
    assert Counter(map(said, answers)) == {(200, "0"): 10}
    assert [item["version"] for item in await history(client, image_id)] == list(range(13, 0, -1))


async def test_time_does_not_go_back(client: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """An update that waited for another has the later time, though its statement began before."""
    image_id = await register(client)
    async with aside.transaction():
        await aside.execute("SELECT FROM image WHERE image_id = $1 FOR UPDATE", image_id)
        waiting = asyncio.create_task(update(client, image_id, factory="二"))
        await asyncio.sleep(0.2)
        await aside.execute(
            "UPDATE image SET version = version + 1, updated_at = clock_timestamp() WHERE image_id = $1", image_id
        )
    await waiting
    times = [item["time"] for item in await history(client, image_id)]
    assert len(times) == 3
    assert times == sorted(times, reverse=True)


async def test_large_pages_are_streamed(database_url: str) -> None:
    """Pages of a hundred revisions of 185 KB add at most 64 MiB to the process, and show the same as small pages."""
    grow = "UPDATE image SET record = regexp_replace(record, 'x*.\"}$', repeat('x', 185000 + %d) || '\"}'), version = version + 1"
    await asyncio.to_thread(execute, database_url, FILL % 1)
    for number in range(99):
        await asyncio.to_thread(execute, database_url, grow % number)
    async with service(database_url) as running, running.client() as client:
        [image] = await records(client)
        small = [await history(client, image["imageId"], pageSize=10, page=page) for page in range(1, 11)]
        running.reset_peak()
        resident = running.peak()
        digests = await asyncio.gather(*(_digest(client, image["imageId"]) for _ in range(4)))
        grown = running.peak() - resident
    shown = [revision for page in small for revision in page]
    assert [len(shown[0]["after"]["algoDesc"]), len(shown[-1]["after"]["algoDesc"])] == [185098, 4000]
    expected = {"status": "0", "res": {"data": shown, "total": 100}, "msg": "查询成功"}
    assert {*digests} == {hashlib.sha256(orjson.dumps(expected)).digest()}
    assert grown < 64 * 1024 * 1024


async def _digest(client: httpx.AsyncClient, image_id: str) -> bytes:
    digest = hashlib.sha256()
    async with client.stream("GET", f"{IMAGES}/{image_id}/history", params={"pageSize": 100}) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_bytes():
            digest.update(piece)
    return digest.digest()
