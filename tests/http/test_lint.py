"""Lint over HTTP: the registry, files, SARIF, pages, slots, hostile requests."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from algoplatform.planning.lint.rules import RULES
from tests.support.images import IMAGES, minimal, register, upload
from tests.support.service import serving, settings_for

FAULTS = Path(__file__).parents[1] / "data" / "lint" / "one_fault_each.json"
SAMPLE = Path(__file__).parents[2] / "examples" / "image_list.json"
SARIF = {"accept": "application/sarif+json"}


async def lint(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    """Lint the registry."""
    answer = await client.get(f"{IMAGES}/_lint", params=query)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["msg"]) == ("0", "检查完成")
    found: dict[str, Any] = answer.json()["res"]
    return found


async def lint_file(client: httpx.AsyncClient, content: bytes, query: str = "", **headers: str) -> httpx.Response:
    """Lint a file."""
    return await client.post(f"{IMAGES}/_lint{query}", files={"file": ("image_list.json", content)}, headers=headers)


def said(answer: httpx.Response) -> tuple[int, str]:
    """Return the HTTP status and the status of the envelope."""
    return answer.status_code, answer.json()["status"]


async def test_one_fault_for_each_rule(database_url: str) -> None:
    """The findings have exactly the rules that the records name; SARIF has as many results of each rule."""
    async with serving(settings_for(database_url, node_port_range="30000-30016")) as client:
        await _one_fault_for_each_rule(client)


async def _one_fault_for_each_rule(client: httpx.AsyncClient) -> None:
    content = FAULTS.read_bytes()
    expected = {rule for record in json.loads(content) for rule in record["algoName"].split(",")} - {"-"}
    answer = await lint_file(client, content, "?cards=15109&profile=aliyun")
    res = answer.json()["res"]
    assert set(res["counts"]) == {finding["rule"] for finding in res["findings"]} == expected
    # A file has no facts about artifacts, so their rules find nothing.
    assert expected == {rule for rule in RULES if not rule.startswith("artifact-")} - {"pvc-rwo"}
    assert res["total"] == sum(res["counts"].values()) == len(res["findings"])
    answer = await lint_file(client, content, "?cards=15109&profile=aliyun", **SARIF)
    assert answer.headers["content-type"] == "application/sarif+json"
    [run] = answer.json()["runs"]
    assert Counter(result["ruleId"] for result in run["results"]) == res["counts"]
    assert (await client.get(f"{IMAGES}/_search")).json()["res"]["data"] == []


async def test_registry(client: httpx.AsyncClient) -> None:
    """Conditions, severities, rules and pages apply; the counts cover all matches, not only the page."""
    for name in ("algo/a", "algo/b", "vse/c"):
        await register(client, name, imagePorts="http:80:30001", gpuRequests=30000)
    res = await lint(client)
    assert list(res) == ["findings", "counts", "total"]
    assert len(res["findings"]) == res["total"] == sum(res["counts"].values())
    assert res["counts"]["node-port-clash"] == 1
    assert list(res["findings"][0]) == ["rule", "severity", "image", "images", "field", "value", "message"]
    some = await lint(client, namespace="vse", rule="no-registry,node-port-clash", severity="warning,info")
    assert [finding["image"] for finding in some["findings"]] == ["vse/c:1.0", "algo/a:1.0"]
    page = await lint(client, page=2, pageSize=2)
    assert (page["findings"], page["counts"]) == (res["findings"][2:4], res["counts"])
    assert (await lint(client, cards=24000))["counts"]["gpu-exceeds-card"] == 3
    answer = await client.get(f"{IMAGES}/_lint", headers=SARIF)
    assert len(answer.json()["runs"][0]["results"]) == res["total"]
    assert (await client.get(f"{IMAGES}/_lint", params={"format": "json"}, headers=SARIF)).json()["res"] == res


async def test_head(client: httpx.AsyncClient) -> None:
    """HEAD checks the query without running lint, and needs no slot."""
    found = await asyncio.gather(*[client.head(f"{IMAGES}/_lint", headers=SARIF) for _ in range(20)])
    assert {(answer.status_code, answer.headers["content-type"]) for answer in found} == {(200, SARIF["accept"])}
    assert (await client.head(f"{IMAGES}/_lint?severity=x")).status_code == 422


async def test_sample_has_no_error(client: httpx.AsyncClient) -> None:
    """The sample registry has no errors, and an empty registry has no findings."""
    assert await lint(client) == {"findings": [], "counts": {}, "total": 0}
    assert (await upload(client, SAMPLE.read_bytes())).status_code == 200
    assert (await lint(client, severity="error"))["total"] == 0


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (
            "severity=fatal&rule=x&page=0&colour=1&profile=y&format=xml",
            {"severity", "rule", "page", "colour", "profile", "format"},
        ),
        ("after=algo/a:1.0", {"after"}),
        ("cards=many&pageSize=1001", {"cards", "pageSize"}),
        ("imageId=x&imageId=y", {"imageId"}),
    ],
)
async def test_wrong_options(client: httpx.AsyncClient, query: str, fields: set[str]) -> None:
    """All wrong options are reported at once, as 202."""
    answer = await client.get(f"{IMAGES}/_lint?{query}", headers={"accept": "application/problem+json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "202")
    assert {error["field"] for error in answer.json()["errors"]} == fields


@pytest.mark.parametrize(
    ("content", "http", "status"),
    [
        (b"", 400, "-1"),
        (b"{", 400, "-1"),
        (b"[1]", 422, "-1"),
        (b"[{}]", 422, "-1"),
        (json.dumps([minimal(), minimal()]).encode(), 422, "-1"),
        (json.dumps([minimal(imagePorts="x:99999")]).encode(), 422, "-1"),
        (b"\xff\xfe", 400, "-1"),
        (b"[" * 100_000, 400, "-1"),
    ],
)
async def test_wrong_files(client: httpx.AsyncClient, content: bytes, http: int, status: str) -> None:
    """Invalid files are refused as by `_upload`, whatever Accept names."""
    answer = await lint_file(client, content, **SARIF)
    assert said(answer) == (http, status)
    uploaded = await upload(client, content)
    assert said(uploaded) == (http, status)


async def test_file_with_registered_dependencies(client: httpx.AsyncClient) -> None:
    """A dependency that is neither in the file nor registered is the finding dependency-gone."""
    await register(client, "algo/base")
    needs = "algo/base:1.0,algo/none:1.0"
    answer = await lint_file(client, json.dumps([minimal(dependencyServiceId=needs)]).encode(), "?rule=dependency-gone")
    [finding] = answer.json()["res"]["findings"]
    assert (finding["image"], finding["value"], finding["severity"]) == ("algo/a:1.0", "algo/none:1.0", "error")
    answer = await client.post(f"{IMAGES}/_lint?namespace=algo", files={"file": b"[]"})
    assert said(answer) == (422, "202")
    assert said(await client.post(f"{IMAGES}/_lint", json=[])) == (415, "-415")


async def test_few_at_once(database_url: str) -> None:
    """Concurrent runs beyond the limit get -429 with Retry-After; other requests are served."""
    async with serving(settings_for(database_url)) as client:
        images = [minimal(f"algo/i{number}") for number in range(3000)]
        assert (await upload(client, images)).status_code == 200
        runs = [client.get(f"{IMAGES}/_lint") for _ in range(8)]
        *found, other = await asyncio.gather(*runs, client.get(f"{IMAGES}/_search?page=1&pageSize=1"))
    statuses = Counter(answer.json()["status"] for answer in found)
    assert set(statuses) == {"0", "-429"}
    assert other.status_code == 200
    assert all("retry-after" in answer.headers for answer in found if answer.status_code == 429)
