"""Impact over HTTP: effects of a delete, a replacement or an update on dependents, and hostile requests."""

import json
from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, delete, minimal, records, register


async def impact(client: httpx.AsyncClient, image_id: str, body: Any) -> httpx.Response:
    """Request the impact of a change."""
    url = f"{IMAGES}/{image_id}/_impact"
    return await client.post(url, content=json.dumps(body), headers={"content-type": "application/json"})


async def test_delete_in_the_order_given(client: httpx.AsyncClient) -> None:
    """Lists direct and transitive dependents; deleting in the given order never gets a 220."""
    base = await register(client, "algo/base")
    await register(client, "algo/mid", dependencyServiceId="algo/base:1.0")
    await register(client, "algo/top", dependencyServiceId="algo/mid:1.0")
    answer = await impact(client, base, {"action": "delete"})
    assert answer.json()["msg"] == "分析成功"
    res = answer.json()["res"]
    assert res == {
        "direct": ["algo/mid:1.0"],
        "transitive": ["algo/mid:1.0", "algo/top:1.0"],
        "order": ["algo/top:1.0", "algo/mid:1.0", "algo/base:1.0"],
        "changes": [],
    }
    known = {f"{each['imageName']}:1.0": each["imageId"] for each in await records(client)}
    for reference in res["order"]:
        assert (await delete(client, known[reference])).status_code == 200
    assert await records(client) == []


async def test_replacement_and_update(client: httpx.AsyncClient) -> None:
    """Harmful changes are listed: a removed port, and fewer channels with the replicas this needs."""
    old = await register(client, tvChannel=16, imagePorts="http:8080")
    other = await register(client, "algo/a", "2.0", tvChannel=4)
    for body in (
        {"action": "replace", "by": other, "channels": 100},
        {"action": "replace", "by": "algo/a:2.0", "channels": "100"},
        {"action": "update", "record": {"tvChannel": 4, "imagePorts": ""}, "channels": 100},
    ):
        changes = (await impact(client, old, body)).json()["res"]["changes"]
        assert {change["field"] for change in changes} == {"imagePorts", "tvChannel"}
        [channels] = [change for change in changes if change["field"] == "tvChannel"]
        assert (channels["from"], channels["to"], channels["replicas"]) == (16, 4, {"from": 7, "to": 25})


async def test_cycle(client: httpx.AsyncClient) -> None:
    """The members of a cycle are one step, with the dependency to cut first."""
    first = await register(client, "algo/a")
    await register(client, "algo/b", dependencyServiceId="algo/a:1.0")
    answer = await client.post(
        f"{IMAGES}/_update", json=minimal("algo/a", imageId=first, dependencyServiceId="algo/b:1.0")
    )
    assert answer.status_code == 200
    [entry] = (await impact(client, first, {"action": "delete"})).json()["res"]["order"]
    assert sorted(entry) == ["cut", "cycle"]


@pytest.mark.parametrize(
    ("body", "http", "status"),
    [
        ({}, 422, "202"),
        ([], 422, "-1"),
        (None, 422, "-1"),
        ({"action": "explode"}, 422, "202"),
        ({"action": ["delete"]}, 422, "202"),
        ({"action": "delete", "by": "x", "record": {}, "channels": 1, "y": 1}, 422, "202"),
        ({"action": "replace"}, 422, "202"),
        ({"action": "replace", "by": "algo/none:1.0"}, 404, "204"),
        ({"action": "replace", "by": "\ud800"}, 422, "202"),
        ({"action": "update", "record": {"imageName": "algo/other"}}, 409, "219"),
        ({"action": "update", "record": {"imagePorts": "x:99999", "env": "="}}, 422, "208"),
        ({"action": "update", "record": {"pics": 10**400}}, 422, "202"),
        ({"action": "update", "record": {"dependencyServiceId": "algo/none:1.0"}}, 422, "308"),
        ({"action": "update", "record": {}, "channels": 0}, 422, "202"),
    ],
)
async def test_wrong_requests(client: httpx.AsyncClient, body: Any, http: int, status: str) -> None:
    """Each wrong request gets its own error, never a 5xx."""
    answer = await impact(client, await register(client), body)
    assert (answer.status_code, answer.json()["status"]) == (http, status)


@pytest.mark.parametrize("image_id", ["0" * 32, "x"])
async def test_unknown_image(client: httpx.AsyncClient, image_id: str) -> None:
    """An unknown image is 204."""
    answer = await impact(client, image_id, {"action": "delete"})
    assert (answer.status_code, answer.json()["status"]) == (404, "204")
    assert (await client.post(f"{IMAGES}/{image_id}/_impact", content=b"")).status_code in (400, 404)
