"""The JSON examples of the user's API document, replayed in a sensible order, get its responses."""

import json
from typing import Any

import httpx

from tests.support.images import IMAGES, document_examples, upload

(
    REGISTER,
    REGISTERED,
    SEARCH,
    FOUND,
    UPDATE,
    UPDATED,
    DELETE,
    DELETED,
    LOAD,
    LOADED,
    _UPLOAD_URL,
    REFUSED,
) = document_examples()


def loaded_records() -> dict[str, Any]:
    """Return the `_load` example, whose one record ends in an ellipsis and an unclosed brace."""
    complete = LOADED.replace("……", "").rstrip()
    before, _, after = complete.rpartition("},")
    return dict(json.loads(f"{before}}}}},{after}"))


async def replay(client: httpx.AsyncClient, operation: str, request: str, answer: str) -> None:
    """Send the documented request byte for byte, and expect the documented response."""
    found = await client.post(
        f"{IMAGES}/{operation}", content=request.encode(), headers={"content-type": "application/json"}
    )
    assert found.status_code == 200, found.text
    assert found.json() == json.loads(answer)
    assert list(found.json()) == ["status", "res", "msg"]


async def test_examples_in_turn(client: httpx.AsyncClient) -> None:
    """Upload the `_load` example, then register, search, update, delete and load as documented."""
    example = loaded_records()
    answer = await upload(client, example)
    assert answer.json() == {
        "status": "0",
        "res": {"created": 1, "updated": 0, "unchanged": 0, "skipped": 0},
        "msg": "镜像上传成功",
    }

    await replay(client, "_register", REGISTER, REGISTERED)

    found = await client.request(
        "GET", f"{IMAGES}/_search", content=SEARCH.encode(), headers={"content-type": "application/json"}
    )
    assert found.json() == {"status": "0", "res": {"data": []}, "msg": "查询成功"}
    wanted = json.loads(FOUND)["res"]["data"][0]
    answer = await upload(client, [wanted | {"dependencyServiceId": "algo/posterize:1.0"}])
    assert answer.status_code == 200, answer.text
    expected = json.loads(FOUND)
    expected["res"]["data"][0]["dependencyServiceId"] = "algo/posterize:1.0"
    for found in (
        await client.request("GET", f"{IMAGES}/_search", json=json.loads(SEARCH)),
        await client.get(f"{IMAGES}/_search", params=json.loads(SEARCH)),
        await client.post(f"{IMAGES}/_search", json=json.loads(SEARCH)),
    ):
        assert found.json() == expected
        assert list(found.json()["res"]["data"][0]) == list(wanted)

    load = await client.post(f"{IMAGES}/_load", json=json.loads(LOAD))
    assert load.headers["content-disposition"] == 'attachment; filename="image_list.json"'
    assert load.json()["msg"] == "镜像下载成功"
    image_id, record = next(iter(example["res"].items()))
    assert load.json()["res"][image_id] == record
    assert list(load.json()["res"][image_id]) == list(record)

    await replay(client, "_update", UPDATE, UPDATED)

    doomed = dict(record, imageId=json.loads(DELETE)["imageId"], imageTag="2.0")
    assert (await upload(client, [doomed])).status_code == 200
    await replay(client, "_delete", DELETE, DELETED)


async def test_failing_upload(client: httpx.AsyncClient) -> None:
    """The records of the failing example are rejected with its wording and format."""
    message = json.loads(REFUSED)["msg"]
    plates = {
        "imageName": "algo/ehlai_car_plates",
        "imageTag": "latest",
        "factory": "ehl",
        "algoName": "车牌",
        "algoType": "1",
        "dependencyServiceId": "1",
    }
    pretreat = {
        "imageName": "algo/ehlai_pretreat",
        "imageTag": "latest",
        "factory": "ehl",
        "algoName": "预处理",
        "algoType": "0",
        "frameNumber": 1,
    }
    answer = await upload(client, {"a" * 32: plates, "b" * 32: pretreat})
    assert answer.status_code == 422
    body = answer.json()
    assert (body["status"], body["res"]) == ("-1", None)
    first, second = (
        "algo/ehlai_car_plateslatest:请检查依赖算法是否正确：镜像名:标签名,镜像名:标签名",
        "algo/ehlai_pretreatlatest:frameInterval不能为空",
    )
    assert first in message
    assert second in message
    assert body["msg"].startswith(first)
    assert body["msg"].endswith(second)
    assert (await client.get(f"{IMAGES}/_search")).json()["res"]["data"] == []
