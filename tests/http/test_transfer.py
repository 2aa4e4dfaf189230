"""`_load` and `_upload`: moving a registry as one file, all or nothing."""

import json
from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, delete, minimal, records, register, upload

IMAGE_ID = "0123456789abcdef" * 2


async def load(client: httpx.AsyncClient, **conditions: Any) -> bytes:
    answer = await client.post(f"{IMAGES}/_load", json=conditions)
    assert answer.status_code == 200, answer.text
    return answer.content


async def clear(client: httpx.AsyncClient) -> None:
    """Delete every image, dependents first."""
    while left := await records(client):
        for record in left:
            await delete(client, record["imageId"])


async def counts(client: httpx.AsyncClient, content: Any, **query: str) -> dict[str, Any]:
    answer = await upload(client, content, **query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["msg"] == "镜像上传成功"
    found: dict[str, Any] = answer.json()["res"]
    return found


def done(created: int = 0, updated: int = 0, unchanged: int = 0, skipped: int = 0) -> dict[str, int]:
    return {"created": created, "updated": updated, "unchanged": unchanged, "skipped": skipped}


async def test_three_forms_of_a_file(client: httpx.AsyncClient) -> None:
    """Envelope, bare res and list are equivalent; a BOM is ignored; a second upload changes nothing."""
    await register(client, "algo/b", dependencyServiceId="algo/b:1.0", algoDesc='a\n\t"\\/\u2028b')
    await register(client, "algo/a", dependencyServiceId="algo/b:1.0")
    envelope = await load(client)
    res = json.loads(envelope)["res"]
    assert [record["imageName"] for record in res.values()] == ["algo/a", "algo/b"]
    for content in (envelope, b"\xef\xbb\xbf" + envelope, res, list(res.values())):
        assert await counts(client, content) == done(unchanged=2)
    assert await load(client) == envelope


async def test_load_into_an_empty_registry(client: httpx.AsyncClient, other_client: httpx.AsyncClient) -> None:
    """An export is accepted by another registry and exported again byte for byte, ids included."""
    await register(client, "algo/z")
    await register(client, "algo/y", dependencyServiceId="algo/z:1.0", imagePorts="web:80:30080", env="A:x\\,y,B:")
    file = await load(client)
    assert await counts(other_client, file) == done(created=2)
    assert await load(other_client) == file


async def test_conditions_of_a_load(client: httpx.AsyncClient) -> None:
    """`_load` takes the conditions of `_search`; no match is an empty object."""
    await register(client, "algo/a")
    await register(client, "vision/b")
    assert len(json.loads(await load(client, namespace="vision"))["res"]) == 1
    assert json.loads(await load(client, searchCondition="nothing"))["res"] == {}
    assert json.loads((await client.post(f"{IMAGES}/_load")).content)["msg"] == "镜像下载成功"


async def test_order_does_not_matter(client: httpx.AsyncClient) -> None:
    """A record may depend on a later one, and two on each other."""
    content = [
        minimal("algo/a", dependencyServiceId="algo/b:1.0"),
        minimal("algo/b", dependencyServiceId="algo/a:1.0,algo/b:1.0"),
    ]
    assert await counts(client, content) == done(created=2)
    for record in await records(client):
        assert (await delete(client, record["imageId"])).json()["status"] == "220"


async def test_existing_images(client: httpx.AsyncClient) -> None:
    """update replaces fields and keeps the id, skip leaves images, fail names them; dryRun writes nothing."""
    image_id = await register(client, "algo/a", pvcSize=1)
    content = [minimal("algo/a", algoDesc="新") | {"imageId": "f" * 32}, minimal("algo/b")]
    assert await counts(client, content, dryRun="true") == done(created=1, updated=1)
    assert len(await records(client)) == 1
    failed = await upload(client, content, onConflict="fail")
    assert (failed.status_code, failed.json()["msg"]) == (422, "algo/a1.0:镜像已注册：algo/a:1.0")
    assert await counts(client, content, onConflict="skip") == done(created=1, skipped=1)
    assert (await records(client))[0]["algoDesc"] is None
    assert await counts(client, content) == done(updated=1, unchanged=1)
    [record, _] = await records(client)
    assert (record["imageId"], record["algoDesc"], record["pvcSize"]) == (image_id, "新", None)
    assert (await client.get(f"{IMAGES}/{image_id}")).headers["etag"] == '"2"'


async def test_changes(client: httpx.AsyncClient) -> None:
    """Changes are listed on request, updates with their fields first; the same for a dry run."""
    await register(client, "algo/b", pvcSize=1, env="A:1")
    await register(client, "algo/c")
    content = [
        minimal("algo/a"),
        minimal("algo/b", algoDesc="新", env="A:1", pvcSize=2),
        minimal("algo/c"),
        minimal("algo/d"),
    ]
    expected = [
        {"image": "algo/b:1.0", "action": "update", "fields": ["pvcSize", "algoDesc"]},
        {"image": "algo/a:1.0", "action": "create", "fields": []},
        {"image": "algo/d:1.0", "action": "create", "fields": []},
    ]
    whole = done(created=2, updated=1, unchanged=1) | {"changes": expected}
    for dry_run in ("true", "false"):
        assert await counts(client, content, changes="true", dryRun=dry_run) == whole
    assert await counts(client, content, changes="true") == done(unchanged=4) | {"changes": []}
    skipped = await counts(client, [minimal("algo/b"), minimal("algo/e")], changes="true", onConflict="skip")
    assert [(change["image"], change["action"]) for change in skipped["changes"]] == [
        ("algo/b:1.0", "skip"),
        ("algo/e:1.0", "create"),
    ]


async def test_changes_of_many(client: httpx.AsyncClient) -> None:
    """At most a thousand changes are listed, updates before new images."""
    await upload(client, [minimal(f"algo/z{number}") for number in range(3)])
    content = [minimal(f"algo/n{number:04}") for number in range(1200)]
    content += [minimal(f"algo/z{number}", factory="二") for number in range(3)]
    found = await counts(client, content, changes="true", dryRun="true")
    assert (found["created"], found["updated"], len(found["changes"])) == (1200, 3, 1000)
    assert [change["image"] for change in found["changes"][:4]] == [
        *(f"algo/z{number}:1.0" for number in range(3)),
        "algo/n0000:1.0",
    ]
    assert found["changes"][0]["fields"] == ["factory"]


async def test_dependencies_of_updated_images(client: httpx.AsyncClient) -> None:
    """An upload updates the edges along with the records."""
    await upload(client, [minimal("algo/a", dependencyServiceId="algo/b:1.0"), minimal("algo/b"), minimal("algo/c")])
    ids = {record["imageName"]: record["imageId"] for record in await records(client)}
    await upload(client, [minimal("algo/a", dependencyServiceId="algo/c:1.0")])
    assert (await delete(client, ids["algo/c"])).json()["status"] == "220"
    assert (await delete(client, ids["algo/b"])).status_code == 200


async def test_ids_of_the_file(client: httpx.AsyncClient) -> None:
    """A free id is kept; one that another image has or had is replaced by a new one."""
    free, taken = "a" * 32, await register(client, "algo/x")
    await counts(client, {free: minimal("algo/a"), taken: minimal("algo/b")})
    ids = {record["imageName"]: record["imageId"] for record in await records(client)}
    assert ids["algo/a"] == free
    assert ids["algo/x"] == taken
    assert ids["algo/b"] not in (free, taken)
    assert (await client.get(f"{IMAGES}/{ids['algo/b']}")).json()["res"]["imageId"] == ids["algo/b"]
    await delete(client, free)
    await counts(client, {free: minimal("algo/a")})
    assert free not in {record["imageId"] for record in await records(client)}


async def test_every_fault_of_every_record(client: httpx.AsyncClient) -> None:
    """One response names every fault in the document's format, and nothing is written."""
    await register(client, "algo/live")
    content = {
        "1" * 32: minimal("algo/ok", dependencyServiceId="algo/broken:1.0,algo/live:1.0"),
        "2" * 32: minimal("algo/broken", env="1", pvcSize="x"),
        "3" * 32: minimal("algo/lost", dependencyServiceId="algo/none:1.0"),
        "4" * 32: minimal("algo/ok"),
        "5" * 32: minimal("algo/other") | {"imageId": "6" * 32},
        "X": minimal("algo/key"),
        "7" * 32: 5,
        "8" * 32: {"imageName": "UPPER"},
    }
    answer = await upload(client, content)
    assert (answer.status_code, answer.json()["status"]) == (422, "-1")
    message = answer.json()["msg"]
    for part in (
        "algo/broken1.0:env第1项“1”缺少“:”",
        "algo/broken1.0:pvcSize须为整数",
        "algo/lost1.0:请检查依赖算法是否正确：镜像名:标签名,镜像名:标签名（“algo/none:1.0”未注册）",
        "algo/ok1.0:文件中重复：与第1条记录的镜像名和标签相同",
        f"algo/other1.0:imageId与键“{'5' * 32}”不一致",
        "algo/key1.0:imageId（键“X”）须为32位小写十六进制字符串",
        "第7条记录:镜像信息须为JSON对象",
        "UPPER:imageName“UPPER”",
        "UPPER:imageTag不能为空",
    ):
        assert part in message
    assert "algo/broken:1.0”未注册" not in message
    assert message.index("algo/broken") < message.index("algo/lost") < message.index("algo/other")
    assert len(await records(client)) == 1
    problem = await client.post(
        f"{IMAGES}/_upload", files={"file": json.dumps(content)}, headers={"accept": "application/problem+json"}
    )
    entry = problem.json()["errors"][0]
    assert (entry["image"], entry["field"]) == ("algo/broken1.0", "pvcSize")


async def told(client: httpx.AsyncClient, content: Any, **query: str) -> list[tuple[str, str, str]]:
    """Upload a faulty file; return the problem's entries: image, field and code."""
    answer = await client.post(
        f"{IMAGES}/_upload",
        params=query,
        files={"file": json.dumps(content)},
        headers={"accept": "application/problem+json"},
    )
    assert answer.status_code == 422, answer.text
    errors = answer.json()["errors"]
    assert answer.json()["detail"] == f"文件中有{len(errors)}处错误，未写入任何数据"
    return [(entry["image"], entry["field"], entry["code"]) for entry in errors]


async def test_broken_records_are_held_against_the_file_and_the_registry(client: httpx.AsyncClient) -> None:
    """A record with an invalid name or tag is still checked for missing dependencies, reported with its label."""
    lost = {"dependencyServiceId": "no/such:1,algo/ok:1.0"}
    content = [
        minimal("UPPER", **lost),
        minimal(tag="-", **lost),
        {"dependencyServiceId": "no/such:1"},
        minimal("algo/ok"),
        minimal("algo/ok", pvcSize="x", **lost),
    ]
    assert await told(client, content) == [
        ("UPPER1.0", "imageName", "221"),
        ("UPPER1.0", "dependencyServiceId", "308"),
        ("algo/a-", "imageTag", "222"),
        ("algo/a-", "dependencyServiceId", "308"),
        *(("第3条记录", field, code) for field, code in (("imageName", "221"), ("imageTag", "222"))),
        *(("第3条记录", field, "202") for field in ("factory", "algoName")),
        *(("第3条记录", field, code) for field, code in (("algoType", "211"), ("dependencyServiceId", "308"))),
        ("algo/ok1.0", "imageName", "203"),
        ("algo/ok1.0", "pvcSize", "202"),
        ("algo/ok1.0", "dependencyServiceId", "308"),
    ]


@pytest.mark.parametrize("broken", [{"env": "x"}, {"imageName": "UPPER"}, {"imageTag": None}])
@pytest.mark.parametrize("first", [True, False])
async def test_repeated_id_of_a_broken_record(client: httpx.AsyncClient, broken: dict[str, Any], first: bool) -> None:
    """A repeated imageId is reported even if one of the two records has other faults."""
    pair = [minimal("algo/a", imageId="1" * 32) | broken, minimal("algo/b", imageId="1" * 32)]
    content = pair if first else pair[::-1]
    message = (await upload(client, content)).json()["msg"]
    assert message.count("imageId在文件中重复：与第1条记录相同") == 1
    assert len(await told(client, content)) == 2
    keyed = "{" + ",".join(f'"{IMAGE_ID}":{json.dumps(item)}' for item in content) + "}"
    assert "重复" not in (await upload(client, keyed.encode())).json()["msg"]
    keyed = keyed.replace("1" * 32, "")
    assert "imageId在文件中重复：与第1条记录相同" in (await upload(client, keyed.encode())).json()["msg"]


async def test_faults_of_a_record_stand_in_the_documents_order(client: httpx.AsyncClient) -> None:
    """Faults are in the order of the document's fields, whichever check finds them."""
    await register(client, "algo/a")
    broken = minimal("algo/a", zz=1, deleteFlag="1", env="x", factory="", dependencyServiceId="no/such:1")
    content = {"1" * 32: minimal("algo/a", imageId="1" * 32), "X": broken}
    assert await told(client, content, onConflict="fail") == [
        ("algo/a1.0", "imageName", "203"),
        ("algo/a1.0", "imageId", "202"),
        ("algo/a1.0", "imageName", "203"),
        ("algo/a1.0", "imageName", "203"),
        ("algo/a1.0", "factory", "202"),
        ("algo/a1.0", "dependencyServiceId", "308"),
        ("algo/a1.0", "env", "217"),
        ("algo/a1.0", "deleteFlag", "202"),
        ("algo/a1.0", "zz", "202"),
    ]
    message = (await upload(client, content, onConflict="fail")).json()["msg"]
    parts = ["键“X”", "与第1条记录的镜像名和标签相同", "factory", "no/such", "env", "deleteFlag", "zz"]
    assert sorted(parts, key=message.index) == parts
    broken |= {"imageId": "1" * 32}
    errors = await told(client, [content["1" * 32], broken])
    assert [field for _, field, _ in errors[:2]] == ["imageId", "imageName"]


async def test_the_first_thousand_faults(client: httpx.AsyncClient) -> None:
    """Of very many faults the first thousand are listed, with their total, in a response of bounded size."""
    bad = [minimal(f"algo/{n}", dependencyServiceId=f"algo/none{n}:1") for n in range(1500)]
    answer = await upload(client, bad)
    assert answer.json()["msg"].count("未注册") == 1000
    assert answer.json()["msg"].endswith("……另有500处错误未列出")
    for image in bad:
        image["env"] = "x"
    message = (await upload(client, bad)).json()["msg"]
    assert message.endswith("……另有2000处错误未列出")
    assert message.index("none499:1") < message.index("algo/4991.0:env")
    assert "algo/5001.0" not in message
    long = [minimal(f"algo/{n}", env=",".join(f"{k}x{'y' * 80}" for k in range(40))) for n in range(500)]
    answer = await upload(client, long)
    assert len(answer.content) <= 256 * 1024
    assert answer.json()["msg"].endswith("处错误未列出")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "文件为空"),
        (b"nonsense", "JSON格式错误：第1个字符"),
        (b'{"res":', "JSON格式错误"),
        (b'{"status":"0","msg":"x"}', "文件中没有res"),
        (b'{"status":"-1","res":null,"msg":"x"}', "文件的res须为JSON对象"),
        (b'{"res":{},"x":{}}', "文件的res之外还有镜像信息"),
        (b'{"res":{},"res":{}}', "字段“res”重复"),
        (b'[{"imageName":"a","imageName":"b"}]', "字段“imageName”重复：在第2个字符起的值中"),
        (b"[1,]", "JSON格式错误"),
        (b"[] []", "JSON格式错误"),
        (b"[NaN]", "JSON中不能使用NaN"),
        (b"[" * 100_000, "嵌套过深"),
        ("[]".encode("utf-16"), "文件不是UTF-8编码"),
        ('["易华录"]'.encode("gbk"), "文件不是UTF-8编码"),
        (b'["' + b"x" * 3_000_000 + b'"]', "单条镜像信息超过上限"),
    ],
)
async def test_unreadable_file(client: httpx.AsyncClient, content: bytes, message: str) -> None:
    """A file that holds no records is rejected as a whole."""
    answer = await upload(client, content)
    assert (answer.status_code, answer.json()["status"]) == (400, "-1")
    assert message in answer.json()["msg"]


async def test_request_without_a_file(client: httpx.AsyncClient) -> None:
    """A missing file, a text field, another media type, a truncated form: each has its error."""
    nothing = await client.post(f"{IMAGES}/_upload", files={"other": b"x"})
    assert (nothing.status_code, nothing.json()["msg"]) == (400, "缺少文件：表单字段file不能为空")
    text = await client.post(f"{IMAGES}/_upload", content=b"[]", headers={"content-type": "application/json"})
    assert (text.status_code, text.json()["status"]) == (415, "-415")
    form = 'multipart/form-data; boundary="x"'
    for body in (b"", b"--x\r\n", b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../a"\r\n\r\n[]'):
        cut = await client.post(f"{IMAGES}/_upload", content=body, headers={"content-type": form})
        assert (cut.status_code, cut.json()["status"]) == (400, "-1")
    unbounded = await client.post(f"{IMAGES}/_upload", content=b"x", headers={"content-type": "multipart/form-data"})
    assert unbounded.status_code == 400
    wrong = await upload(client, [], onConflict="merge", dryRun="maybe", colour="red")
    assert wrong.json()["msg"] == (
        "onConflict须为update、skip、fail之一，不能为“merge”；dryRun须为true或false，不能为“maybe”；colour不是已知字段"
    )


@pytest.mark.parametrize("query", ["dryRun=true&dryRun=false", "onConflict=skip&onConflict=update"])
async def test_repeated_option(client: httpx.AsyncClient, query: str) -> None:
    """Repeated options are ambiguous, and nothing is written."""
    answer = await client.post(f"{IMAGES}/_upload?{query}", files={"file": json.dumps([minimal()])})
    name = query.partition("=")[0]
    assert (answer.status_code, answer.json()) == (422, {"status": "-1", "res": None, "msg": f"查询参数重复：{name}"})
    assert await records(client) == []


async def test_repeated_upload_under_one_key(client: httpx.AsyncClient) -> None:
    """The same file with the same Idempotency-Key is a repeat, even with another form boundary."""
    answers = [
        await client.post(
            f"{IMAGES}/_upload", files={"file": json.dumps([minimal()])}, headers={"idempotency-key": "u1"}
        )
        for _ in range(2)
    ]
    assert answers[0].content == answers[1].content
    assert answers[0].json()["res"] == done(created=1)
    refused = await client.post(f"{IMAGES}/_upload", files={"file": b"[]"}, headers={"idempotency-key": "u1"})
    assert refused.status_code == 422
    bad = [
        await client.post(f"{IMAGES}/_upload", files={"file": b"[1]"}, headers={"idempotency-key": "u2"})
        for _ in range(2)
    ]
    assert bad[0].status_code == 422
    assert bad[0].content == bad[1].content
