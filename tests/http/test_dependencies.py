"""Dependencies over HTTP: JSON, SVG and texts, limits, cycles, hostile options."""

import asyncio
import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from hashlib import sha256
from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, minimal, records, register, upload

FORMS = {
    "svg": "image/svg+xml",
    "mermaid": "text/vnd.mermaid; charset=utf-8",
    "dot": "text/vnd.graphviz; charset=utf-8",
}


async def ids(client: httpx.AsyncClient) -> dict[str, str]:
    """Return the ids of all images by reference."""
    return {f"{each['imageName']}:{each['imageTag']}": each["imageId"] for each in await records(client)}


async def diamond(client: httpx.AsyncClient) -> dict[str, str]:
    """Register a diamond and a separate cycle of three images."""
    needs = {
        "top": ["left", "right"],
        "left": ["base"],
        "right": ["base"],
        "base": [],
        "x": ["y"],
        "y": ["z"],
        "z": ["x"],
    }
    images = [
        minimal(f"algo/{name}", dependencyServiceId=",".join(f"algo/{each}:1.0" for each in needed))
        for name, needed in needs.items()
    ]
    assert (await upload(client, images)).status_code == 200
    return {reference[5:-4]: image_id for reference, image_id in (await ids(client)).items()}


async def graph(client: httpx.AsyncClient, image_id: str, **query: Any) -> dict[str, Any]:
    """Return the graph around an image."""
    answer = await client.get(f"{IMAGES}/{image_id}/dependencies", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["msg"] == "查询成功"
    found: dict[str, Any] = answer.json()["res"]
    return found


async def test_diamond_and_cycle(client: httpx.AsyncClient) -> None:
    """Levels and edges of a diamond, truncation by depth, and cycles whose members share a level."""
    known = await diamond(client)
    found = await graph(client, known["top"])
    assert [(node["reference"], node["level"]) for node in found["nodes"]] == [
        ("algo/base:1.0", 0),
        ("algo/left:1.0", 1),
        ("algo/right:1.0", 1),
        ("algo/top:1.0", 2),
    ]
    assert len(found["edges"]) == 4
    assert [known["top"], known["left"]] in found["edges"]
    assert (found["cycles"], found["truncated"], found["total"]) == ([], False, 4)
    up = await graph(client, known["base"], direction="up", depth=1)
    assert [node["reference"] for node in up["nodes"]] == ["algo/base:1.0", "algo/left:1.0", "algo/right:1.0"]
    assert (up["truncated"], up["total"]) == (True, 4)
    ring = await graph(client, known["y"], direction="both")
    assert [node["level"] for node in ring["nodes"]] == [0, 0, 0]
    assert [sorted(cycle) for cycle in ring["cycles"]] == [sorted([known["x"], known["y"], known["z"]])]


async def test_forms(client: httpx.AsyncClient) -> None:
    """Each format contains every image and has its media type, ETag and 304, selected by `format` or by Accept."""
    known = await diamond(client)
    url = f"{IMAGES}/{known['top']}/dependencies"
    tags = {(await client.get(url)).headers["etag"]}
    for form, media in FORMS.items():
        answer = await client.get(url, params={"format": form})
        assert (answer.headers["content-type"], answer.headers["vary"]) == (media, "Accept")
        named = await client.get(url, headers={"accept": media.partition(";")[0]})
        assert (named.content, named.headers["etag"]) == (answer.content, answer.headers["etag"])
        for name in ("top", "left", "right", "base"):
            assert f"algo/{name}:1.0" in answer.text
        again = await client.get(url, params={"format": form}, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await client.head(url, params={"format": form})).headers["etag"] == answer.headers["etag"]
        tags.add(answer.headers["etag"])
    assert len(tags) == 4


async def test_drawing_has_the_policy_that_its_style_needs(client: httpx.AsyncClient) -> None:
    """The CSP allows only the drawing's own style element, by its hash; the links lead to the records."""
    known = await diamond(client)
    answer = await client.get(f"{IMAGES}/{known['top']}/dependencies?format=svg")
    root = ET.fromstring(answer.content)
    [style] = root.iter("{http://www.w3.org/2000/svg}style")
    digest = b64encode(sha256((style.text or "").encode()).digest()).decode()
    assert answer.headers["content-security-policy"] == f"default-src 'none'; style-src 'sha256-{digest}'"
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    [link, *_] = re.findall(r'href="([^"#]+)"', answer.text)
    record = await client.get(str(httpx.URL(str(answer.url)).join(link)))
    assert record.status_code == 200
    assert record.json()["res"]["imageId"] in known.values()


async def test_too_many_to_draw(client: httpx.AsyncClient) -> None:
    """A drawing of too many images is -422 for `depth`; texts have no such limit, and JSON reports truncation."""
    images = [minimal(f"algo/i{number}") for number in range(160)]
    needs = ",".join(f"algo/i{number}:1.0" for number in range(80))
    more = ",".join(["algo/half:1.0", *(f"algo/i{number}:1.0" for number in range(80, 160))])
    images += [minimal("algo/half", dependencyServiceId=needs), minimal("algo/top", dependencyServiceId=more)]
    assert (await upload(client, images)).status_code == 200
    url = f"{IMAGES}/{(await ids(client))['algo/top:1.0']}/dependencies"
    problem = {"accept": "application/problem+json"}
    answer = await client.get(f"{url}?format=svg", headers=problem)
    assert (answer.status_code, answer.json()["code"]) == (422, "-422")
    assert [error["field"] for error in answer.json()["errors"]] == ["depth"]
    for known in ("*", (await client.get(f"{url}?format=dot")).headers["etag"]):
        answer = await client.get(f"{url}?format=svg", headers={"if-none-match": known})
        assert (answer.status_code, answer.json()["status"]) == (422, "-422")
    together = await asyncio.gather(*[client.get(f"{url}?format=svg") for _ in range(12)])
    assert {each.json()["status"] for each in together} == {"-422"}
    assert (await client.get(f"{url}?format=svg&depth=1")).headers["content-type"] == "image/svg+xml"
    for form in ("mermaid", "dot"):
        text = (await client.get(f"{url}?format={form}")).text
        assert all(f"algo/i{number}:1.0" in text for number in range(160))
    cut = (await client.get(f"{url}?limit=10")).json()["res"]
    assert (len(cut["nodes"]), cut["truncated"], cut["total"]) == (10, True, 162)


@pytest.mark.parametrize("image_id", ["0" * 32, "x"])
async def test_unknown_image(client: httpx.AsyncClient, image_id: str) -> None:
    """An unknown image is 204 in JSON, whatever the format."""
    answer = await client.get(f"{IMAGES}/{image_id}/dependencies?format=svg")
    assert (answer.status_code, answer.json()["status"]) == (404, "204")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("direction=left&depth=-1&limit=0&format=png&x=1", ["direction", "depth", "limit", "x", "format"]),
        ("limit=1001", ["limit"]),
        ("depth=1e3", ["depth"]),
        ("depth=99999999999999999999", ["depth"]),
        ("format=svg,dot", ["format"]),
    ],
)
async def test_wrong_options(client: httpx.AsyncClient, query: str, fields: list[str]) -> None:
    """All wrong options are reported at once, as 202."""
    url = f"{IMAGES}/{await register(client)}/dependencies?{query}"
    answer = await client.get(url, headers={"accept": "application/problem+json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "202")
    assert [error["field"] for error in answer.json()["errors"]] == fields


async def test_blank_options_are_absent(client: httpx.AsyncClient) -> None:
    """Blank options count as absent, as in all operations."""
    found = await graph(client, await register(client), direction="", depth=" ", limit="", format=" ")
    assert len(found["nodes"]) == 1
