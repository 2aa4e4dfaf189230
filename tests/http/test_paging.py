"""Keyset pages, images by their ids, and allowed query strings."""

from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, delete, minimal, records, register, upload

NAMES = [f"algo/n{number:02}" for number in range(20)]
LOADED = '{"status":"0","res":{'


@pytest.fixture
async def filled(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A registry of twenty images with two tags each, by two factories in turn."""
    content = [
        minimal(name, tag, factory=f"厂商{number % 2}", useableFlag="1", eventType=number % 4)
        for number, name in enumerate(NAMES)
        for tag in ("1.0", "2.0")
    ]
    assert (await upload(client, content)).status_code == 200
    return client


async def page(client: httpx.AsyncClient, **query: Any) -> list[str]:
    """Return the references on a page by cursor, which has no total."""
    answer = await client.get(f"{IMAGES}/_search", params=query)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()["res"]) == ["data"]
    return [f"{record['imageName']}:{record['imageTag']}" for record in answer.json()["res"]["data"]]


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"factory": "厂商1"},
        {"useableFlag": "1"},
        {"useableFlag": "1", "eventType": "3"},
        {"searchCondition": "algo/n1"},
        {"searchCondition": "厂商", "factory": "厂商1"},
        {"searchCondition": "厂商", "algoType": "1"},
        {"searchCondition": "安全帽", "namespace": "algo", "factory": "厂商0"},
    ],
)
async def test_pages_by_key(filled: httpx.AsyncClient, conditions: dict[str, str]) -> None:
    """Paging forward and backward by cursor returns every match once, in ascending order."""
    everything = await page(filled, **conditions)
    assert everything == sorted(everything)
    assert len(everything) > 6
    forward = await page(filled, **conditions, pageSize=3)
    assert forward == everything[:3]
    while rest := await page(filled, **conditions, pageSize=3, after=forward[-1]):
        forward += rest
    assert forward == everything
    backward = await page(filled, **conditions, pageSize=3, before=everything[-1])
    while rest := await page(filled, **conditions, pageSize=3, before=backward[0]):
        backward = [*rest, *backward]
    assert backward == everything[:-1]
    assert await page(filled, **conditions, after=everything[4]) == everything[5:]
    assert await page(filled, **conditions, before=everything[4]) == everything[:4]


async def test_a_place_need_not_be_an_image(filled: httpx.AsyncClient) -> None:
    """A cursor may name an image that was deleted or never existed."""
    everything = await page(filled)
    [gone] = await records(filled, searchCondition=everything[4])
    await delete(filled, gone["imageId"])
    assert await page(filled, after=everything[4], pageSize=1) == everything[5:6]
    assert await page(filled, after="a/z:1", pageSize=1) == everything[:1]
    assert await page(filled, after="zzz:1", pageSize=1) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=1&after=algo/a:1", "after不能与page同时使用"),
        ("page=1&before=algo/a:1", "before不能与page同时使用"),
        ("before=algo/a:1&after=algo/a:1", "before不能与after同时使用"),
        ("after=algo/a", "after“algo/a”缺少标签名"),
        ("imageId=x", "imageId须为32位小写十六进制字符串"),
        ("pageSize=0", "pageSize须为1至1000的整数"),
        (f"searchCondition={'x' * 256}", "searchCondition长度不能超过255个字符，实际为256个"),
        ("imageId=a&factory=a&imageId=b&factory=b", "查询参数重复：factory"),
    ],
)
async def test_what_may_not_be_asked(client: httpx.AsyncClient, query: str, message: str) -> None:
    """Faults in pages, ids and texts are reported with their status, wherever conditions may be given."""
    for method, path in (("GET", "_search"), ("POST", "_search"), ("POST", "_load")):
        answer = await client.request(method, f"{IMAGES}/{path}?{query}")
        assert (answer.status_code, answer.json()["status"]) == (422, "-1" if "重复" in message else "202")
        assert message in answer.json()["msg"]


async def test_images_by_their_ids(filled: httpx.AsyncClient) -> None:
    """imageId may be repeated in a query or be a list in a body, and combines with other conditions."""
    ids = [record["imageId"] for record in await records(filled)][:4]
    of_first = [record["imageId"] for record in await records(filled, factory="厂商0") if record["imageId"] in ids]
    absent = "0" * 32
    asked = [("imageId", item) for item in (ids[2], absent, ids[0], ids[2])]
    for answer in (
        await filled.get(f"{IMAGES}/_search", params=asked),
        await filled.post(f"{IMAGES}/_search", json={"imageId": [ids[2], absent, ids[0]]}),
    ):
        assert [record["imageId"] for record in answer.json()["res"]["data"]] == [ids[0], ids[2]]
    assert len(await records(filled, imageId=ids[1])) == 1
    assert [record["imageId"] for record in await records(filled, imageId=ids, factory="厂商0")] == of_first
    counted = (await filled.post(f"{IMAGES}/_search", json={"imageId": ids, "page": 1, "pageSize": 1})).json()["res"]
    assert (len(counted["data"]), counted["total"]) == (1, 4)
    loaded = await filled.post(f"{IMAGES}/_load", params=[("imageId", item) for item in ids])
    assert list(loaded.json()["res"]) == ids


async def test_load_takes_every_condition(filled: httpx.AsyncClient) -> None:
    """An export with a page returns this page, given in the query or in the body."""
    for conditions in (
        {"pageSize": "3", "after": "algo/n03:1.0"},
        {"pageSize": "3", "before": "algo/n03:1.0", "useableFlag": "1"},
        {"page": "2", "pageSize": "3", "eventType": "1"},
        {"searchCondition": "algo", "factory": "厂商1", "eventType": "1"},
        {"imageId": "0" * 32},
    ):
        found = (await filled.get(f"{IMAGES}/_search", params=conditions)).json()["res"]["data"]
        for answer in (
            await filled.post(f"{IMAGES}/_load", params=conditions),
            await filled.post(f"{IMAGES}/_load", json=conditions),
        ):
            assert list(answer.json()["res"].values()) == found


@pytest.mark.parametrize(
    "text",
    ["%B3%E9%D6%A1", "%FF", "%E6%8A", "%C0%AF", "%ED%A0%80", "%ED%B0%80", "%F4%90%80%80", "a%80", "%E6%8A%BD%E5%B8"],
)
async def test_text_that_is_not_utf8(client: httpx.AsyncClient, text: str) -> None:
    """GBK, Latin-1, truncated or overlong UTF-8 and surrogates are reported, not searched for in vain."""
    image_id = await register(client)
    for method, path in (
        ("GET", f"_search?searchCondition={text}"),
        ("GET", f"_search?factory={text}"),
        ("GET", f"_search?{text}=1"),
        ("POST", f"_search?namespace={text}"),
        ("POST", f"_load?incidentId={text}"),
        ("POST", f"_upload?onConflict={text}"),
        ("GET", f"{image_id}/history?page={text}"),
    ):
        answer = await client.request(method, f"{IMAGES}/{path}")
        assert (answer.status_code, answer.json()["status"]) == (400, "-1"), path
        assert "UTF-8" in answer.json()["msg"]


async def test_what_keeps_caches_away_is_ignored(client: httpx.AsyncClient) -> None:
    """Parameters that begin with "_" are ignored, even repeated ones; so is an unknown null in a body."""
    image_id = await register(client)
    for path in ("_search?_t=1732500000", "_search?_=1&_=2&searchCondition=algo", f"{image_id}/history?_t=1"):
        answer = await client.get(f"{IMAGES}/{path}")
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["res"]["data"]) == 1
    assert len((await client.post(f"{IMAGES}/_load?_t=1")).json()["res"]) == 1
    assert len(await records(client, colour=None, imageId=None)) == 1


async def test_line_breaks_of_both_kinds_are_the_same(client: httpx.AsyncClient) -> None:
    """Text matches line breaks of both forms."""
    await register(client, algoDesc="第一行\n第二行")
    for text in ("行\n第", "行\r\n第"):
        answer = await client.get(f"{IMAGES}/_search", params={"searchCondition": text})
        assert answer.status_code in (200, 422), text
        if answer.status_code == 200:
            assert len(answer.json()["res"]["data"]) == 1
