"""`_search` and `GET images/{imageId}`: matches, order and format."""

from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, delete, minimal, records, register, upload


@pytest.fixture
async def filled(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A registry with a few images."""
    await register(client, "algo/helmet", "1.0", factory="易华录", algoName="安全帽检测", eventType=3001)
    await register(client, "algo/helmet", "2.0", factory="易华录", algoDesc="100%_准确\\", useableFlag="1")
    await register(client, "harbor.local:5000/vision/plate", "Latest", factory="EHuaLu", incidentId="7")
    await register(client, "test1.0", "test1.0", algoType="2", algoDesc="两行\n描述")
    return client


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({}, ["algo/helmet:1.0", "algo/helmet:2.0", "harbor.local:5000/vision/plate:Latest", "test1.0:test1.0"]),
        ({"searchCondition": "HELMET"}, ["algo/helmet:1.0", "algo/helmet:2.0"]),
        ({"searchCondition": "helmet:2"}, ["algo/helmet:2.0"]),
        (
            {"searchCondition": "安全"},
            ["algo/helmet:1.0", "algo/helmet:2.0", "harbor.local:5000/vision/plate:Latest", "test1.0:test1.0"],
        ),
        ({"searchCondition": "帽检"}, ["algo/helmet:1.0"]),
        ({"searchCondition": "ehualu"}, ["harbor.local:5000/vision/plate:Latest"]),
        ({"searchCondition": "%"}, ["algo/helmet:2.0"]),
        ({"searchCondition": "_"}, ["algo/helmet:2.0"]),
        ({"searchCondition": "\\"}, ["algo/helmet:2.0"]),
        ({"searchCondition": "描述"}, ["test1.0:test1.0"]),
        ({"searchCondition": "Latest"}, ["harbor.local:5000/vision/plate:Latest"]),
        ({"searchCondition": "PLATE:latest"}, ["harbor.local:5000/vision/plate:Latest"]),
        ({"searchCondition": "no such"}, []),
        ({"namespace": "algo"}, ["algo/helmet:1.0", "algo/helmet:2.0"]),
        ({"namespace": "vision"}, ["harbor.local:5000/vision/plate:Latest"]),
        ({"namespace": "harbor.local:5000"}, []),
        ({"algoType": "2"}, ["test1.0:test1.0"]),
        ({"eventType": "3001"}, ["algo/helmet:1.0"]),
        ({"factory": "EHuaLu"}, ["harbor.local:5000/vision/plate:Latest"]),
        ({"factory": "ehualu"}, []),
        ({"incidentId": "7"}, ["harbor.local:5000/vision/plate:Latest"]),
        ({"useableFlag": "1"}, ["algo/helmet:2.0"]),
        ({"useableFlag": "1", "searchCondition": "plate"}, []),
    ],
)
async def test_conditions(filled: httpx.AsyncClient, conditions: dict[str, Any], names: list[str]) -> None:
    """Substrings are literal and case-insensitive, filters exact; bytewise order; query and bodies agree."""
    found = [f"{record['imageName']}:{record['imageTag']}" for record in await records(filled, **conditions)]
    assert found == names
    by_query = await filled.get(f"{IMAGES}/_search", params=conditions)
    by_body = await filled.request("GET", f"{IMAGES}/_search", json=conditions)
    assert by_query.json() == by_body.json()
    assert len(by_query.json()["res"]["data"]) == len(names)


async def test_image_id_finds_that_image(client: httpx.AsyncClient) -> None:
    """An imageId is a search condition too, until the image is deleted."""
    image_id = await register(client)
    assert [record["imageId"] for record in await records(client, searchCondition=image_id)] == [image_id]
    await delete(client, image_id)
    assert await records(client, searchCondition=image_id) == []
    gone = await client.get(f"{IMAGES}/{image_id}")
    assert (gone.status_code, gone.json()["status"]) == (404, "204")


async def test_if_none_match(client: httpx.AsyncClient) -> None:
    """A tag that matches, weak or among others, gets 304; entity tags are compared whole."""
    path = f"{IMAGES}/{await register(client)}"
    for known in (['"1"'], ['W/"1"'], ["*"], ['"9", "1"'], ['"9"', 'W/"8" , "1"'], ['"9"', "*"], ['"a,b", "1"']):
        answer = await client.get(path, headers=[("if-none-match", line) for line in known])
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"'), known
    for other in (['"2"'], ["1"], ['"11"'], ['w/"1"'], ['x"1"'], ['"1"x'], ['"a"1"b"'], ['",*,"'], [""]):
        answer = await client.get(path, headers=[("if-none-match", line) for line in other])
        assert (answer.status_code, len(answer.json()["res"])) == (200, 29), other


async def test_composed_and_decomposed_text_are_the_same(client: httpx.AsyncClient) -> None:
    """Text is compared in NFC and stored as sent."""
    await register(client, factory="Cafe\u0301")
    assert [record["factory"] for record in await records(client, searchCondition="CAFÉ")] == ["Cafe\u0301"]
    assert len(await records(client, factory="Café")) == 1


async def test_filters_are_blind_to_the_form_of_text(client: httpx.AsyncClient) -> None:
    """Filters compare in NFC, whether the image came from a register, an update or an upload."""
    await register(client, incidentId="e\u0301")
    image_id = await register(client, "algo/b")
    await client.post(f"{IMAGES}/_update", json=minimal("algo/b", imageId=image_id, incidentId="e\u0301"))
    await upload(client, [minimal("algo/c", incidentId="e\u0301")])
    assert len(await records(client, incidentId="\u00e9")) == 3


async def test_line_breaks_are_taken_literally(client: httpx.AsyncClient) -> None:
    """A line break in algoDesc matches a line break, not a space."""
    await register(client, algoDesc="第一行\n第二行\tX")
    found = {text: len(await records(client, searchCondition=text)) for text in ("行\n第", "行\tx", "行 第", "行第")}
    assert found == {"行\n第": 1, "行\tx": 1, "行 第": 0, "行第": 0}


async def test_body_wins_over_query(filled: httpx.AsyncClient) -> None:
    """If a condition is given twice, the body's applies."""
    found = await filled.post(f"{IMAGES}/_search", params={"namespace": "algo"}, json={"namespace": "vision"})
    assert len(found.json()["res"]["data"]) == 1


async def test_pages_have_a_total(filled: httpx.AsyncClient) -> None:
    """A page includes the total, even beyond the last page."""
    first = (await filled.get(f"{IMAGES}/_search", params={"page": 1, "pageSize": 3})).json()["res"]
    last = (await filled.get(f"{IMAGES}/_search", params={"page": 2, "pageSize": 3})).json()["res"]
    beyond = (await filled.get(f"{IMAGES}/_search", params={"page": 9})).json()["res"]
    assert [len(page["data"]) for page in (first, last, beyond)] == [3, 1, 0]
    assert {page["total"] for page in (first, last, beyond)} == {4}


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("page=0", "202", "page须为1至2147483647的整数"),
        ("pageSize=1001", "202", "pageSize须为1至1000的整数"),
        ("algoType=9", "211", "algoType须为0、1、2之一"),
        ("colour=red", "202", "colour不是已知的查询条件"),
        ("=red", "202", "“”不是已知的查询条件"),
        ("page=1&page=2", "-1", "查询参数重复：page"),
    ],
)
async def test_broken_conditions(client: httpx.AsyncClient, query: str, status: str, message: str) -> None:
    """An invalid condition is rejected, not ignored."""
    answer = await client.get(f"{IMAGES}/_search?{query}")
    assert (answer.status_code, answer.json()["status"]) == (422, status)
    assert message in answer.json()["msg"]


async def test_more_than_a_thousand_are_streamed_whole(client: httpx.AsyncClient) -> None:
    """Without a page every match is returned, in any number."""
    content = [minimal(f"algo/n{number:05}", algoDesc='引号"\\,\n行') for number in range(2500)]
    assert (await upload(client, content)).json()["res"]["created"] == 2500
    found = await records(client, searchCondition="algo/n")
    assert [record["imageName"] for record in found] == [image["imageName"] for image in content]
    assert {record["algoDesc"] for record in found} == {'引号"\\,\n行'}
