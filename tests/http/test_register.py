"""`_register`: its faults, all reported at once, and its response."""

from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, delete, minimal, records, register


async def post(client: httpx.AsyncClient, body: Any, **headers: str) -> httpx.Response:
    return await client.post(f"{IMAGES}/_register", json=body, headers=headers)


async def test_registered_image_is_found_where_location_points(client: httpx.AsyncClient) -> None:
    """Location leads to the record with the same ETag and all 29 keys in the document's order."""
    answer = await post(client, minimal(pvcSize="12", algoDesc=" "))
    assert answer.json() == {"status": "0", "res": None, "msg": "注册成功"}
    found = await client.get(answer.headers["location"])
    record = found.json()["res"]
    assert found.headers["etag"] == answer.headers["etag"] == '"1"'
    assert "last-modified" in found.headers
    assert len(record) == 29
    assert list(record)[:5] == ["imageId", "imageName", "imageTag", "imagePorts", "imageMount"]
    assert (record["pvcSize"], record["algoDesc"], record["deleteFlag"]) == (12, None, "0")
    assert (await client.get(answer.headers["location"], headers={"if-none-match": '"1"'})).status_code == 304


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"imageName": ""}, "221", "imageName不能为空"),
        ({"imageName": "algo/A"}, "221", "imageName“algo/A”的路径第2段“A”含有不允许的字符“A”"),
        ({"imageTag": None}, "222", "imageTag不能为空"),
        ({"imageTag": "a b"}, "222", "imageTag“a b”含有不允许的字符“ ”"),
        ({"factory": " "}, "202", "factory不能为空"),
        ({"algoName": 3}, "202", "algoName须为字符串"),
        ({"algoType": "3"}, "211", "algoType须为0、1、2之一，不能为“3”"),
        ({"algoType": 1}, "211", "algoType须为0、1、2之一（字符串）"),
        ({"algoType": "0", "frameNumber": 1}, "502", "frameInterval不能为空"),
        ({"algoType": "0", "frameInterval": 1}, "503", "frameNumber不能为空"),
        ({"imagePorts": "web:99999"}, "208", "imagePorts第1项“web:99999”的容器端口须为1至65535的整数"),
        ({"imageports": "web:0"}, "208", "imagePorts第1项“web:0”的容器端口须为1至65535的整数"),
        ({"imagePorts": "a:1", "imageports": "b:1"}, "208", "imagePorts与imageports不一致"),
        ({"imagePorts": "a:1:20000"}, "208", "节点端口须为30000至32767的整数"),
        ({"config": "etc"}, "209", "config第1项“etc”须为以“/”开头的绝对路径"),
        ({"subPath": "/a"}, "210", "subPath第1项“/a”须写作“源路径:目标路径”"),
        ({"workingDir": "/a/../b"}, "214", "workingDir“/a/../b”不能含有“..”"),
        ({"imageMount": "/a,/a"}, "215", "imageMount第2项“/a”与第1项重复"),
        ({"env": "1A:x"}, "217", "env第1项“1A:x”的键不能以数字开头"),
        ({"hostPath": "/a:b"}, "223", "hostPath第1项“/a:b”的目标路径须为以“/”开头的绝对路径"),
        ({"command": "echo '"}, "202", "command"),
        ({"dependencyServiceId": "1"}, "308", "请检查依赖算法是否正确：镜像名:标签名,镜像名:标签名（第1项“1”"),
        ({"dependencyServiceId": "x:1"}, "308", "（“x:1”未注册）"),
        ({"pvcSize": True}, "202", "pvcSize须为整数"),
        ({"pvcSize": 1.0}, "202", "pvcSize须为整数"),
        ({"pvcSize": -1}, "202", "pvcSize须为0至2147483647的整数"),
        ({"pvcSize": 2147483648}, "202", "pvcSize须为0至2147483647的整数"),
        ({"pvcSize": "1e3"}, "202", "pvcSize须为整数"),
        ({"useableFlag": "2"}, "202", "useableFlag须为0、1之一"),
        ({"algoDesc": "\x1f"}, "202", "algoDesc第1个字符是控制字符（U+001F）"),
        ({"deleteFlag": "1"}, "202", "deleteFlag须为0，不能为“1”"),
        ({"imageId": "a" * 32}, "202", "imageId由服务端生成"),
        ({"factory": "a\nb"}, "202", "factory第2个字符是控制字符（U+000A）"),
        ({"algoDesc": "a\x00b"}, "202", "algoDesc第2个字符是控制字符（U+0000）"),
        ({"algoDesc": "a" * 4097}, "202", "algoDesc长度不能超过4096个字符，实际为4097个"),
        ({"colour": "red"}, "202", "colour不是已知字段"),
    ],
)
async def test_fault(client: httpx.AsyncClient, fields: dict[str, Any], status: str, message: str) -> None:
    """Each broken rule has its status, names the field and writes nothing."""
    answer = await post(client, minimal(**fields) if "imageName" not in fields else minimal() | fields)
    assert answer.status_code == 422
    assert answer.json()["status"] == status
    assert message in answer.json()["msg"]
    assert await records(client) == []


async def test_all_faults_at_once_in_field_order(client: httpx.AsyncClient) -> None:
    """One response reports every fault, including those that need the database; RFC 9457 lists them."""
    await register(client)
    body = minimal(env="x", imagePorts="a:1,a:2,b", dependencyServiceId="no/such:1", colour="red")
    answer = await post(client, body)
    assert answer.status_code == 409
    assert answer.json()["status"] == "203"
    problem = await post(client, body, accept="application/problem+json")
    assert problem.headers["content-type"] == "application/problem+json"
    found = problem.json()
    assert list(found) == ["type", "title", "status", "detail", "code", "errors"]
    assert [(entry["field"], entry["code"]) for entry in found["errors"]] == [
        ("imageName", "203"),
        ("imagePorts", "208"),
        ("imagePorts", "208"),
        ("dependencyServiceId", "308"),
        ("env", "217"),
        ("colour", "202"),
    ]
    assert answer.json()["msg"] == "；".join(entry["message"] for entry in found["errors"])


async def test_name_and_tag_are_unique_and_free_after_delete(client: httpx.AsyncClient) -> None:
    """The second registration is rejected; after a delete the next gets a new id."""
    first = await register(client)
    again = await post(client, minimal())
    assert (again.status_code, again.json()["status"]) == (409, "203")
    assert (await delete(client, first)).status_code == 200
    assert await register(client) != first


async def test_null_fields_of_a_shared_class_are_ignored(client: httpx.AsyncClient) -> None:
    """A typed client may send every field of its class as null."""
    answer = await post(client, minimal() | {"imageId": None, "deleteFlag": "0", "page": None, "userResult": None})
    assert answer.status_code == 200


async def test_self_dependency_does_not_need_to_exist(client: httpx.AsyncClient) -> None:
    """An image may depend on itself."""
    await register(client, dependencyServiceId="algo/a:1.0")


async def test_idempotency_key_repeats_the_answer(client: httpx.AsyncClient) -> None:
    """A repeat gets the first response, errors included; with another body it is rejected."""
    first = await post(client, minimal(), **{"idempotency-key": "k1"})
    again = await post(client, minimal(), **{"idempotency-key": "k1"})
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert first.headers["location"] == again.headers["location"]
    other = await post(client, minimal("algo/b"), **{"idempotency-key": "k1"})
    assert (other.status_code, other.json()["status"]) == (422, "-1")
    refused = await post(client, minimal(), **{"idempotency-key": "k2"})
    assert refused.status_code == 409
    await delete(client, first.headers["location"].rpartition("/")[2])
    assert (await post(client, minimal(), **{"idempotency-key": "k2"})).content == refused.content
    bad = await post(client, minimal(), **{"idempotency-key": "k" * 256})
    assert (bad.status_code, bad.json()["status"]) == (422, "-1")
