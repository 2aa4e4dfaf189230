"""The form of a record: faults at fields and rows, conflicts, merging."""

import asyncio
import re
from typing import Any

import httpx

from tests.support.console import inputs, post, replaced, text_of
from tests.support.images import IMAGES, delete, records, register

NEW = {"imageName": "algo/plate", "imageTag": "1.0", "factory": "易华录", "algoName": "车牌", "algoType": "1"}


async def test_register(client: httpx.AsyncClient) -> None:
    """Sending the form, with rows, registers an image and redirects to it."""
    rows = [
        ("imagePorts.0", "http"),
        ("imagePorts.1", "8080"),
        ("imagePorts.2", ""),
        ("imagePorts.0", ""),
        ("imagePorts.1", ""),
    ]
    rows += [("env.0", "A"), ("env.1", "1,2"), ("memRequests", "2048"), ("algoDesc", "\r\n车牌\r\n识别")]
    answer = await post(client, "/images/new", [*NEW.items(), *rows])
    assert answer.status_code == 303
    [record] = await records(client)
    assert answer.headers["location"] == f"/console/images/{record['imageId']}"
    assert record["imagePorts"] == "http:8080"
    assert record["env"] == "A:1\\,2"
    assert record["memRequests"] == 2048
    assert record["algoDesc"] == "\n车牌\n识别"


async def test_all_faults_at_once(client: httpx.AsyncClient) -> None:
    """Each fault is listed as a link and shown at its field or row; everything typed is kept."""
    await register(client, "algo/base")
    wrong = {**NEW, "imageName": "Algo", "memRequests": "viel", "algoType": "0", "workingDir": "home"}
    rows = [("imageMount.0", "/a"), ("imageMount.0", "b"), ("imageMount.0", " /c")]
    rows += [("dependencyServiceId.0", "algo/base:1.0"), ("dependencyServiceId.0", "algo/none:1")]
    answer = await post(client, "/images/new", [*wrong.items(), *rows])
    assert answer.status_code == 422
    page = answer.text
    alert = re.search(r'role="alert" tabindex="-1" autofocus>(.*?)</div>', page, re.DOTALL)
    assert alert
    targets = re.findall(r'href="#([^"]+)"', alert[1])
    expected = {
        "imageName",
        "memRequests",
        "workingDir",
        "frameInterval",
        "frameNumber",
        "imageMount-1",
        "imageMount-2",
    }
    assert expected | {"dependencyServiceId-1"} == set(targets)
    for target in targets:
        tag = re.search(rf'<[^>]*\bid="{target}"[^>]*>', page)
        assert tag and 'aria-invalid="true"' in tag[0] and f'aria-describedby="{target}-fault"' in tag[0]
        assert f'id="{target}-fault"' in page
    sent = inputs(page)
    assert set(wrong.items()) <= set(sent)
    assert set(rows) <= set(sent)


async def test_name_taken(client: httpx.AsyncClient) -> None:
    """An image that already exists is a conflict."""
    await register(client, "algo/plate")
    answer = await post(client, "/images/new", NEW)
    assert answer.status_code == 409
    assert "镜像已注册" in answer.text


async def test_copy_as_new(client: httpx.AsyncClient) -> None:
    """A copy has the values of the original; copying an unknown image is 404."""
    image_id = await register(client, "algo/plate", imagePorts="http:80", env="A:1")
    page = await client.get(f"/console/images/new?like={image_id}")
    answer = await post(client, "/images/new", replaced(inputs(page.text), imageTag="2.0"))
    assert answer.status_code == 303
    first, second = await records(client)
    own = {"imageId", "imageTag"}
    assert {name: value for name, value in first.items() if name not in own} == {
        name: value for name, value in second.items() if name not in own
    }
    assert (await client.get(f"/console/images/new?like={'0' * 32}")).status_code == 404
    assert (await client.get("/console/images/new?like=x")).status_code == 404


async def test_buttons_of_lists(client: httpx.AsyncClient) -> None:
    """Without script, buttons add and remove rows on the server, and turn them into text and back."""
    fields = [*NEW.items(), ("config.0", "/a"), ("config.0", "/b")]
    more = inputs((await post(client, "/images/new", [*fields, ("do", "add:config")])).text)
    assert [value for name, value in more if name == "config.0"] == ["/a", "/b", ""]
    less = inputs((await post(client, "/images/new", [*fields, ("do", "remove:config:0")])).text)
    assert [value for name, value in less if name == "config.0"] == ["/b"]
    text = inputs((await post(client, "/images/new", [*fields, ("do", "text:config")])).text)
    assert dict(text)["config"] == "/a,/b"
    rows = inputs((await post(client, "/images/new", [*text, ("do", "rows:config")])).text)
    assert [value for name, value in rows if name == "config.0"] == ["/a", "/b"]
    for strange in ("add:x", "text:x", "rows:x", "remove:config", f"remove:config:{'9' * 5000}", "remove:config:x"):
        assert (await post(client, "/images/new", [*fields, ("do", strange)])).status_code == 200
    assert await records(client) == []


async def test_edit_changes_nothing_else(client: httpx.AsyncClient) -> None:
    """Saving an unchanged form writes no version; a field that is not sent keeps its value."""
    stored: dict[str, Any] = {
        "algoDesc": "\n两行\n描述",
        "env": "A:1\\,2,B:",
        "hostPath": "/a:/b",
        "cpuRequests": 1500,
        "useableFlag": "0",
    }
    image_id = await register(client, "algo/plate", **stored)
    before = (await client.get(f"{IMAGES}/{image_id}")).json()
    page = (await client.get(f"/console/images/{image_id}/edit")).text
    answer = await post(client, f"/images/{image_id}/edit", inputs(page))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/images/{image_id}")
    again = await client.get(f"{IMAGES}/{image_id}")
    assert (again.json(), again.headers["etag"]) == (before, '"1"')
    assert (await post(client, f"/images/{image_id}/edit", {"factory": "大华", "version": "1"})).status_code == 303
    assert (await client.get(f"{IMAGES}/{image_id}")).json()["res"] == before["res"] | {"factory": "大华"}


async def test_conflict_is_merged(client: httpx.AsyncClient) -> None:
    """On a conflict others' changes are shown at their fields, own values are kept, and saving again succeeds."""
    image_id = await register(client, "algo/plate", memRequests=1000, algoDesc="旧", gpuRequests=5, config="/a")
    page = (await client.get(f"/console/images/{image_id}/edit")).text
    theirs = {"imageId": image_id, **NEW, "memRequests": 3000, "algoDesc": "他人", "config": "/b"}
    assert (await client.post(f"{IMAGES}/_update", json=theirs)).status_code == 200
    mine = replaced(inputs(page), memRequests="2000", gpuRequests="7")
    told = await post(client, f"/images/{image_id}/edit", mine)
    assert told.status_code == 412
    for text in ("他人改为：3000", "他人改为：他人", "他人改为：/b"):
        assert text in told.text
    shown = dict(inputs(told.text))
    assert (shown["memRequests"], shown["gpuRequests"], shown["algoDesc"], shown["version"]) == (
        "2000",
        "7",
        "他人",
        "2",
    )
    assert (await post(client, f"/images/{image_id}/edit", inputs(told.text))).status_code == 303
    [record] = await records(client)
    assert [record[name] for name in ("memRequests", "gpuRequests", "algoDesc", "config")] == [2000, 7, "他人", "/b"]


async def test_deleted_meanwhile(client: httpx.AsyncClient) -> None:
    """If the image was deleted, the form is shown again; a version that does not exist is a conflict."""
    image_id = await register(client, "algo/plate")
    fields = replaced(inputs((await client.get(f"/console/images/{image_id}/edit")).text), algoDesc="重要")
    assert (await post(client, f"/images/{image_id}/edit", replaced(fields, version="77"))).status_code == 412
    assert (await post(client, f"/images/{image_id}/edit", replaced(fields, version="x"))).status_code == 412
    await delete(client, image_id)
    answer = await post(client, f"/images/{image_id}/edit", fields)
    assert answer.status_code == 404
    assert dict(inputs(answer.text))["algoDesc"] == "重要"


async def test_identity_stays(client: httpx.AsyncClient) -> None:
    """Changing the name or the tag of an image is refused."""
    image_id = await register(client, "algo/plate")
    answer = await post(client, f"/images/{image_id}/edit", {"imageTag": "2", "version": "1"})
    assert answer.status_code == 409
    assert "更新不能修改" in answer.text


async def test_concurrent_saves(client: httpx.AsyncClient) -> None:
    """Of concurrent saves of the same version exactly one succeeds; the others get 412."""
    image_id = await register(client, "algo/plate")
    saves = [post(client, f"/images/{image_id}/edit", {"version": "1", "memRequests": str(at)}) for at in range(1, 9)]
    answers = [answer.status_code for answer in await asyncio.gather(*saves)]
    assert sorted(answers) == [303, *[412] * 7]


async def test_bounded_by_the_gateway(database_url: str) -> None:
    """Without the rights there are no links, and pages that write are 403; a refused form keeps its input."""
    from tests.support.service import serving, settings_for

    given = settings_for(database_url, authority_header="X-Authority", namespaces_header="X-Namespaces")
    own = {"x-authority": "2", "x-namespaces": "algo"}
    async with serving(given) as client:
        client.headers.update(own)
        image_id = await register(client, "algo/plate")
        assert "编辑" in (await client.get(f"/console/images/{image_id}")).text
        denied = await post(client, "/images/new", NEW | {"imageName": "other/plate"})
        assert denied.status_code == 403
        assert dict(inputs(denied.text))["imageName"] == "other/plate"
        client.headers["x-namespaces"] = "other"
        page = (await client.get(f"/console/images/{image_id}")).text
        assert f"{image_id}/edit" not in page
        assert "您不能修改命名空间“algo”的镜像" in page
        assert (await client.get(f"/console/images/{image_id}/edit")).status_code == 403
        assert (await post(client, f"/images/{image_id}/edit", {"version": "1", "factory": "x"})).status_code == 403
        assert (await post(client, f"/images/{image_id}/delete", {})).status_code == 403
        del client.headers["x-authority"]
        page = (await client.get("/console/images")).text
        assert "登记镜像" not in text_of(page)
        assert "/console/import" not in page
        for path in ("/images/new", "/import", f"/images/{image_id}/edit", f"/images/{image_id}/delete"):
            assert (await client.get(f"/console{path}")).status_code == 403
        for path in ("/images/new", "/images/delete", f"/images/{image_id}/restore"):
            assert (await post(client, path, NEW | {"imageId": image_id})).status_code == 403
