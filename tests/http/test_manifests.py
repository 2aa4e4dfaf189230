"""Manifests over HTTP: an image, its closure, a set; representations, refusals, hostile requests."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import yaml

from tests.support.images import IMAGES, document_examples, minimal, records, register, upload
from tests.support.service import serving, settings_for

CLEAN: dict[str, Any] = {"cpuRequests": 1000, "memRequests": 1024, "tvChannel": 8}
YAML = {"accept": "application/yaml"}


async def render(client: httpx.AsyncClient, body: Any, **query: str) -> httpx.Response:
    """Render a set."""
    return await client.post(f"{IMAGES}/_render", json=body, params=query)


def said(answer: httpx.Response) -> tuple[int, str]:
    """Return the HTTP status and the status of the envelope."""
    return answer.status_code, answer.json()["status"]


async def test_the_documents_example(client: httpx.AsyncClient) -> None:
    """Two Services, no node port for 8888, libraries as files, a warning about /home, the ConfigMap as needed."""
    await register(client, "algo/posterize")
    answer = await client.post(f"{IMAGES}/_register", json=json.loads(document_examples()[0]))
    url = f"{answer.headers['location']}/manifests"
    found = (await client.get(url)).json()
    assert (found["status"], found["msg"]) == ("0", "生成成功")
    res = found["res"]
    services = [item["spec"] for item in res["manifests"] if item["kind"] == "Service"]
    assert [(spec["type"], [port["port"] for port in spec["ports"]]) for spec in services] == [
        ("ClusterIP", [5016, 5017, 8888]),
        ("NodePort", [5016, 5017]),
    ]
    assert [port["nodePort"] for port in services[1]["ports"]] == [30016, 30017]
    pod = res["manifests"][-1]["spec"]["template"]["spec"]
    libraries = [each["hostPath"] for each in pod["volumes"] if "hostPath" in each]
    assert [each["type"] for each in libraries if ".so" in each["path"]] == ["File", "File"]
    assert any("/home" in each["message"] for each in res["warnings"] if each["rule"] == "hostpath-hides-command")
    [need] = res["needs"]
    assert (need["kind"], sorted(need["keys"].values())) == (
        "ConfigMap",
        ["/app/application-linedrawing.properties", "/etc/fdfs/client.conf"],
    )
    file = await client.get(url, headers=YAML)
    assert list(yaml.safe_load_all(file.content)) == res["manifests"]


async def test_media(client: httpx.AsyncClient) -> None:
    """JSON unless Accept or `format` names YAML; each representation has its own ETag and its own 304."""
    url = f"{IMAGES}/{await register(client)}/manifests"
    plain = await client.get(url)
    assert plain.headers["content-type"] == "application/json"
    assert "content-disposition" not in plain.headers
    for answer in (await client.get(url, headers=YAML), await client.get(url, params={"format": "yaml"})):
        assert answer.headers["content-type"] == "application/yaml"
        assert answer.headers["content-disposition"] == 'attachment; filename="algo-a-1-0.yaml"'
    assert answer.headers["etag"] != plain.headers["etag"]
    assert {answer.headers["vary"], plain.headers["vary"]} == {"Accept"}
    assert (await client.get(url, params={"format": "json"}, headers=YAML)).json() == plain.json()
    known = {"if-none-match": answer.headers["etag"]}
    again = await client.get(url, params={"format": "yaml"}, headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert (await client.get(url, headers=known)).status_code == 200
    assert (await client.get(url, params={"format": "yaml", "replicas": 2}, headers=known)).status_code == 200
    head = await client.head(url, headers=YAML)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])


async def test_tag_follows_the_closure(client: httpx.AsyncClient) -> None:
    """Updating a dependency changes the ETag of the closure, but not of the image alone."""
    base = await register(client, "algo/base")
    url = f"{IMAGES}/{await register(client, 'algo/top', dependencyServiceId='algo/base:1.0')}/manifests"

    async def tags() -> list[str]:
        return [(await client.get(url, params={"closure": flag})).headers["etag"] for flag in ("false", "true")]

    before = await tags()
    answer = await client.post(f"{IMAGES}/_update", json=minimal("algo/base", imageId=base, pics=2))
    assert answer.status_code == 200
    after = await tags()
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


async def test_wrong_options_come_at_once(client: httpx.AsyncClient) -> None:
    """All wrong options, with the format, are reported at once as 202; what cannot be rendered is -422."""
    url = f"{IMAGES}/{await register(client, gpuRequests=16000)}/manifests"
    wrong = "format=html&colour=red&replicas=1&channels=2&closure=maybe"
    answer = await client.get(f"{url}?{wrong}", headers={"accept": "application/problem+json"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["colour", "closure", "replicas", "format"]
    answer = await client.get(url, params={"cards": "15109", "pin": "true", "format": "yaml"})
    assert said(answer) == (422, "-422")
    assert "gpuRequests为16000" in answer.json()["msg"] and "没有摘要" in answer.json()["msg"]


@pytest.mark.parametrize("image_id", ["0" * 32, "x", "%22"])
async def test_unknown_image(client: httpx.AsyncClient, image_id: str) -> None:
    """An unknown image is 204, in JSON whatever Accept names."""
    answer = await client.get(f"{IMAGES}/{image_id}/manifests", headers=YAML)
    assert said(answer) == (404, "204")


async def test_a_set(client: httpx.AsyncClient) -> None:
    """Ids and references may be mixed, duplicates are ignored; files without contents are needed; YAML is the same."""
    image_id = await register(client, "algo/a", config="/etc/a.conf,/etc/b.conf", **CLEAN)
    await register(client, "algo/b", dependencyServiceId="algo/a:1.0", **CLEAN)
    body = {
        "images": ["algo/b:1.0", image_id, "algo/a:1.0"],
        "options": {"replicas": 2, "closure": True},
        "configFiles": {"algo/a:1.0": {"/etc/a.conf": "x: 1\n"}},
    }
    answer = await render(client, body)
    assert said(answer) == (200, "0")
    res = answer.json()["res"]
    assert list(res) == ["manifests", "order", "addresses", "needs", "warnings", "assumptions"]
    assert res["order"] == [["algo/a:1.0"], ["algo/b:1.0"]]
    assert [item["data"] for item in res["manifests"] if item["kind"] == "ConfigMap"] == [{"etc_a.conf": "x: 1\n"}]
    assert [list(need["keys"].values()) for need in res["needs"]] == [["/etc/b.conf"]]
    file = await render(client, body, format="yaml")
    assert file.headers["content-disposition"] == 'attachment; filename="manifests.yaml"'
    assert list(yaml.safe_load_all(file.content)) == res["manifests"]


async def test_clashes_in_a_set(client: httpx.AsyncClient) -> None:
    """A node port used twice is refused with both images, in a set as in a closure."""
    first = await register(client, "algo/a", imagePorts="http:80:30080")
    second = await register(client, "vse/b", imagePorts="web:81:30080", dependencyServiceId="algo/a:1.0")
    for answer in (
        await render(client, {"images": [first, second]}),
        await client.get(f"{IMAGES}/{second}/manifests", params={"closure": "true"}),
    ):
        assert said(answer) == (422, "-422")
        assert answer.json()["msg"] == "algo/a:1.0与vse/b:1.0都使用节点端口30080"
    names = [await register(client, "algo/x", "1.0"), await register(client, "algo/x", "2.0")]
    answer = await render(client, {"images": names, "options": {"naming": "image"}})
    assert said(answer) == (422, "-422")
    assert "algo/x:1.0与algo/x:2.0生成同名的对象" in answer.json()["msg"]


async def test_unknown_in_a_set(client: httpx.AsyncClient) -> None:
    """204 lists every unknown image."""
    await register(client)
    answer = await render(client, {"images": ["algo/none:1.0", "algo/a:1.0", "0" * 32]})
    assert (said(answer), answer.json()["msg"]) == ((404, "204"), f"镜像不存在：algo/none:1.0，{'0' * 32}")


async def test_large_set(client: httpx.AsyncClient) -> None:
    """A thousand images are rendered, one more is refused; members of a cycle share a level."""
    images = [minimal(f"algo/i{number}", **CLEAN) for number in range(1000)]
    images[0]["dependencyServiceId"] = "algo/i1:1.0"
    images[1]["dependencyServiceId"] = "algo/i0:1.0"
    images[2]["dependencyServiceId"] = "algo/i1:1.0"
    assert (await upload(client, images)).status_code == 200
    names = [f"{image['imageName']}:1.0" for image in images]
    res = (await render(client, {"images": names})).json()["res"]
    assert len(res["manifests"]) == 1000
    assert res["order"][1] == ["algo/i2:1.0"]
    file = await render(client, {"images": names}, format="yaml")
    assert len(list(yaml.load_all(file.content, yaml.CSafeLoader))) == 1000
    answer = await render(client, {"images": [*names, "algo/more:1.0"]})
    assert said(answer) == (422, "202")
    found = [record for record in await records(client) if record["imageName"] == "algo/i0"]
    ring = await client.get(f"{IMAGES}/{found[0]['imageId']}/manifests", params={"closure": "true"})
    assert ring.json()["res"]["order"] == [["algo/i0:1.0", "algo/i1:1.0"]]
    assert {warning["rule"] for warning in ring.json()["res"]["warnings"]} >= {"dependency-cycle"}


async def test_slots(database_url: str) -> None:
    """Concurrent large renderings beyond the limit get -429; small ones need no slot."""
    async with serving(settings_for(database_url)) as client:
        images = [minimal(f"algo/i{number}", **CLEAN) for number in range(300)]
        assert (await upload(client, images)).status_code == 200
        large = {"images": [f"{image['imageName']}:1.0" for image in images]}
        small = {"images": large["images"][:1]}
        found = await asyncio.gather(*(render(client, body) for body in [*[large] * 6, *[small] * 6]))
    statuses = [answer.json()["status"] for answer in found]
    assert {"0", "-429"} == set(statuses[:6])
    assert set(statuses[6:]) == {"0"}
    assert all("retry-after" in answer.headers for answer in found if answer.status_code == 429)


async def test_large_bodies(database_url: str) -> None:
    """A body above the usual limit is accepted, but only one at a time; a refused one releases its slot."""
    async with serving(settings_for(database_url, max_body_bytes=1024)) as client:
        await register(client, config="/etc/a")
        body = {"images": ["algo/a:1.0"], "configFiles": {"algo/a:1.0": {"/etc/a": "x" * 500_000}}}
        for wrong in (body | {"images": []}, body | {"images": ["algo/none:1.0"]}):
            assert (await render(client, wrong)).json()["status"] in ("202", "204")
        assert said(await render(client, body)) == (200, "0")
        found = await asyncio.gather(*(render(client, body) for _ in range(6)))
    statuses = {answer.json()["status"] for answer in found}
    assert "0" in statuses
    assert statuses <= {"0", "-429"}


async def test_faults_of_body_and_options_at_once(client: httpx.AsyncClient) -> None:
    """Faults of the body, the options and the query are reported in one response."""
    answer = await render(client, {"images": [1], "options": {"naming": "both"}, "x": 1}, format="yaml")
    assert said(answer) == (422, "202")
    assert answer.json()["msg"].count("；") == 2
    answer = await render(client, {"images": [], "options": {"cores": 101}}, format="xml", colour="red")
    assert said(answer) == (422, "202")
    assert all(name in answer.json()["msg"] for name in ("images", "cores", "format", "colour"))


BODIES = [
    (b"", 400, "-1"),
    (b"{", 400, "-1"),
    (b"[]", 422, "-1"),
    (b"{}", 422, "202"),
    (b'{"images": []}', 422, "202"),
    (b'{"images": "algo/a:1.0"}', 422, "202"),
    (b'{"images": [1, null, {}, ""]}', 422, "202"),
    (b'{"images": ["algo/a:1.0"], "colour": 1}', 422, "202"),
    (b'{"images": ["algo/a:1.0"], "options": []}', 422, "202"),
    (b'{"images": ["algo/a:1.0"], "options": {"replicas": [1], "profile": "\\ud800"}}', 422, "202"),
    (b'{"images": ["algo/a:1.0"], "options": {"replicas": 1e9999}}', 422, "202"),
    (b'{"images": ["algo/a:1.0"], "configFiles": {"algo/a:1.0": "x"}}', 422, "202"),
    (b'{"images": ["algo/a:1.0"], "configFiles": {"algo/b:1.0": {"/x": "y"}}}', 422, "202"),
    (b'{"images": ["algo/a:1.0"], "configFiles": {"algo/a:1.0": {"/x": "y"}}}', 422, "202"),
    (b'{"images": ["algo/a:1.0"], "configFiles": {"algo/a:1.0": {"/etc/a": "\\ud800"}}}', 422, "202"),
    (b'{"images": ["\\ud800:1.0"]}', 404, "204"),
    (b'{"images": ["\\u0000"]}', 404, "204"),
    (b'{"images": ["algo/a:1.0"], "images": []}', 400, "-1"),
    (b'{"images": [' + b"[" * 5000 + b"]" * 5000 + b"]}", 400, "-1"),
    (b'{"images": [' + b"1," * 4_000_001 + b"1]}", 422, "-1"),
]


async def test_hostile_bodies(client: httpx.AsyncClient) -> None:
    """Each hostile body gets its own error, never a 5xx."""
    await register(client, config="/etc/a")
    found = []
    for content, _, _ in BODIES:
        answer = await client.post(
            f"{IMAGES}/_render", content=content, headers={"content-type": "application/json", **YAML}
        )
        found.append((content[:60], *said(answer)))
    assert found == [(content[:60], http, status) for content, http, status in BODIES]
    answer = await client.post(f"{IMAGES}/_render?replicas=1", json={"images": ["algo/a:1.0"]})
    assert said(answer) == (422, "202")
    answer = await client.post(f"{IMAGES}/_render", content=b"x", headers={"content-type": "text/plain"})
    assert said(answer) == (415, "-415")


@pytest.mark.parametrize(
    "query",
    [
        "replicas=99999999999999999999999",
        "namespace=%00",
        "namespace=%ED%A0%80",
        "nodeSelector=" + "a=b," * 2000,
        "tolerations=,,,:::",
        "mountStore=nfs:::::/",
        "registry=http://[::1",
        "profile=__class__",
        "replicas=1&replicas=2",
        "&".join(f"x{number}=1" for number in range(2000)),
        "cards=" + ",".join(["1"] * 1001),
        "namespace=" + "%E4%BD%A0" * 600,
    ],
)
async def test_hostile_options(client: httpx.AsyncClient, query: str) -> None:
    """Each hostile option is refused."""
    answer = await client.get(f"{IMAGES}/{await register(client)}/manifests?{query}")
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["status"] in ("-1", "202")


async def test_records_are_as_before(client: httpx.AsyncClient) -> None:
    """Records in search results still have exactly 29 keys."""
    await register(client)
    [record] = await records(client)
    assert len(record) == 29
