"""`_update`: what changes, what stays, and its conflicts."""

import json
from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, delete, minimal, records, register


async def update(client: httpx.AsyncClient, body: dict[str, Any], *if_match: str) -> httpx.Response:
    headers = [("if-match", line) for line in if_match]
    return await client.post(f"{IMAGES}/_update", json=body, headers=headers)


async def test_absent_stays_and_empty_clears(client: httpx.AsyncClient) -> None:
    """Only the fields sent change; null and "" clear; the search reflects the update."""
    image_id = await register(
        client, pvcSize=5, algoDesc="旧描述", env="A:1", eventType=7, incidentId="x", useableFlag="1"
    )
    answer = await update(client, minimal(imageId=image_id, factory="新厂", env="", eventType=None, command="run"))
    assert answer.json() == {"status": "0", "res": None, "msg": "更新成功"}
    assert answer.headers["etag"] == '"2"'
    [record] = await records(client)
    assert (record["factory"], record["pvcSize"], record["algoDesc"]) == ("新厂", 5, "旧描述")
    assert (record["env"], record["eventType"], record["command"]) == (None, None, "run")
    assert (record["incidentId"], record["useableFlag"]) == ("x", "1")
    assert len(await records(client, searchCondition="旧描述")) == 1
    assert len(await records(client, searchCondition="新厂")) == 1
    assert await records(client, searchCondition="易华录") == []
    assert await records(client, eventType=7) == []
    await update(client, minimal(imageId=image_id, algoDesc="新描述"))
    assert await records(client, searchCondition="旧描述") == []
    assert len(await records(client, searchCondition="新描述", incidentId="x", useableFlag="1")) == 1


@pytest.mark.parametrize(
    ("fields", "http", "status", "message"),
    [
        ({"imageId": None}, 422, "202", "imageId不能为空"),
        ({"imageId": "x"}, 422, "202", "imageId须为32位小写十六进制字符串"),
        ({"imageId": "0" * 32}, 404, "204", "镜像不存在"),
        ({"imageTag": "2.0"}, 409, "219", "更新不能修改imageName或imageTag"),
        ({"imageName": "algo/b"}, 409, "219", "更新不能修改imageName或imageTag"),
        ({"factory": None}, 422, "202", "factory不能为空"),
        ({"algoType": "0"}, 422, "502", "frameInterval不能为空；frameNumber不能为空"),
        ({"algoType": "0", "frameInterval": 1}, 422, "503", "frameNumber不能为空"),
        ({"algoType": "0", "frameInterval": "", "frameNumber": 1}, 422, "502", "frameInterval不能为空"),
        ({"dependencyServiceId": "no/such:1"}, 422, "308", "“no/such:1”未注册"),
        ({"imagePorts": "x", "dependencyServiceId": "no/such:1"}, 422, "208", "“no/such:1”未注册"),
    ],
)
async def test_refused(client: httpx.AsyncClient, fields: dict[str, Any], http: int, status: str, message: str) -> None:
    """A rejected update writes nothing."""
    image_id = await register(client)
    before = await records(client)
    answer = await update(client, minimal(imageId=image_id) | fields)
    assert (answer.status_code, answer.json()["status"]) == (http, status)
    assert message in answer.json()["msg"]
    assert await records(client) == before


@pytest.mark.parametrize(
    ("fields", "statuses", "message"),
    [
        ({"imageTag": "zz", "env": "x"}, ["219", "217"], "更新不能修改imageName或imageTag；env第1项“x”缺少“:”"),
        ({"imageName": "algo/b", "imageTag": ""}, ["219", "222"], "更新不能修改imageName或imageTag；imageTag不能为空"),
        ({"imageName": "A", "imageTag": "1.0"}, ["221"], "imageName“A”"),
        ({"imageName": "A", "imageTag": "2.0"}, ["221", "219"], "imageName“A”"),
        (
            {"algoType": "0", "env": "x"},
            ["502", "503", "217"],
            "frameInterval不能为空；frameNumber不能为空；env第1项“x”缺少“:”",
        ),
        ({"algoType": "0", "frameInterval": "x"}, ["202", "503"], "frameInterval须为整数；frameNumber不能为空"),
        ({"algoType": "0", "frameInterval": None}, ["502", "503"], "frameInterval不能为空；frameNumber不能为空"),
        (
            {"imageTag": "zz", "algoType": "0", "frameNumber": 1, "pics": -1, "dependencyServiceId": "no/such:1"},
            ["219", "202", "308", "502"],
            "更新不能修改imageName或imageTag；pics",
        ),
        ({"\ud800": 1, "imageName": None}, ["221", "202"], "imageName不能为空；\\ud800不是已知字段"),
        ({"imageId": "0" * 32, "imageTag": "zz", "algoType": "0", "env": "x"}, ["217"], "env第1项“x”缺少“:”"),
        ({"imageId": "x", "imageTag": "zz", "algoType": "0", "env": "x"}, ["202", "217"], "imageId须为32位"),
    ],
)
async def test_all_faults_at_once(
    client: httpx.AsyncClient, fields: dict[str, Any], statuses: list[str], message: str
) -> None:
    """Faults of the record and conflicts with the stored image come together, in the document's order."""
    body = json.dumps(minimal(imageId=await register(client)) | fields)
    headers = {"content-type": "application/json"}
    answer = await client.post(f"{IMAGES}/_update", content=body, headers=headers)
    assert answer.json()["status"] == statuses[0]
    assert answer.json()["msg"].startswith(message)
    headers["accept"] = "application/problem+json"
    problem = await client.post(f"{IMAGES}/_update", content=body, headers=headers)
    assert [entry["code"] for entry in problem.json()["errors"]] == statuses


async def test_stored_frames_count_beside_other_faults(client: httpx.AsyncClient) -> None:
    """Frame fields that are stored, or not required by this type, are no fault beside others."""
    image_id = await register(client, algoType="0", frameInterval=1, frameNumber=2)
    for algo_type in ("0", "1"):
        answer = await update(client, minimal(imageId=image_id, algoType=algo_type, env="x"))
        assert answer.json()["status"] == "217"
        assert "frame" not in answer.json()["msg"]


async def test_stored_frames_satisfy_a_self_developed_algorithm(client: httpx.AsyncClient) -> None:
    """Stored frame fields satisfy the check of an update that omits them."""
    image_id = await register(client, algoType="0", frameInterval=1, frameNumber=2)
    assert (await update(client, minimal(imageId=image_id, algoType="0"))).status_code == 200
    [record] = await records(client)
    assert (record["frameInterval"], record["frameNumber"]) == (1, 2)
    assert (await update(client, minimal(imageId=image_id, algoType="0", frameNumber=""))).json()["status"] == "503"


async def test_dependencies_follow_the_record(client: httpx.AsyncClient) -> None:
    """A dependency can be deleted once no update names it any more, and not before."""
    first, second = await register(client, "algo/x"), await register(client, "algo/y")
    image_id = await register(client, dependencyServiceId="algo/x:1.0")
    await update(client, minimal(imageId=image_id))
    assert (await delete(client, first)).json()["status"] == "220"
    await update(client, minimal(imageId=image_id, dependencyServiceId="algo/y:1.0,algo/a:1.0"))
    assert (await delete(client, first)).status_code == 200
    assert (await delete(client, second)).json()["status"] == "220"
    await update(client, minimal(imageId=image_id, dependencyServiceId=""))
    assert (await delete(client, second)).status_code == 200


async def test_if_match(client: httpx.AsyncClient) -> None:
    """A stale or invalid ETag writes nothing; the current one passes, in any list, on any line, or as *."""
    image_id = await register(client)
    body = minimal(imageId=image_id)
    for unreadable in (["1"], ['"1"2'], ["*", "1"]):
        answer = await update(client, body, *unreadable)
        assert (answer.status_code, answer.json()["status"]) == (400, "-1"), unreadable
    for stale in (['"7"'], ['W/"7"'], ['"x"'], ['"2", "3"'], ['"2"', '"3"'], ['"2,*,3"']):
        answer = await update(client, body, *stale)
        assert (answer.status_code, answer.json()["status"]) == (412, "-412"), stale
    for current in (
        ['"1"'],
        ['"9", "2"'],
        ["*"],
        ['"9"', '"4"'],
        ['"9" ,\t"5",'],
        ['"9"', "*"],
        ['"9", *'],
        ['"a,b","8"'],
    ):
        assert (await update(client, body, *current)).status_code == 200, current


async def test_if_match_of_a_repeat(client: httpx.AsyncClient) -> None:
    """A repeat with an Idempotency-Key must have the same conditions, on every line."""
    body = minimal(imageId=await register(client))
    conditions = (['"9"', '"1"'], ['"9"', '"1"'], ['"9"', '"2"'])
    client.headers["idempotency-key"] = "k"
    answers = [await update(client, body, *lines) for lines in conditions]
    assert [answer.json()["status"] for answer in answers] == ["0", "0", "-1"]
