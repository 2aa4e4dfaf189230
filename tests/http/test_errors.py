"""Errors of the framework in our words, and the error format that a client asks for."""

import json
from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, minimal, register
from tests.support.postgres import execute
from tests.support.service import serving, settings_for

PROBLEM = "application/problem+json"
REFUSALS: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/nowhere", {}, 404, "-404"),
    ("GET", "/algoPlatform", {}, 404, "-404"),
    ("GET", f"{IMAGES}/", {}, 404, "-404"),
    ("GET", f"{IMAGES}/_nothing", {}, 404, "-404"),
    ("GET", "/docs/assets/../../etc/passwd", {}, 404, "-404"),
    ("GET", "/docs/assets/none.js", {}, 404, "-404"),
    ("PUT", f"{IMAGES}/_register", {"json": {}}, 405, "-405"),
    ("POST", "/docs", {}, 405, "-405"),
    ("POST", f"{IMAGES}/_register", {"content": b"{}" + b" " * 2**20, "headers": {}}, 413, "-413"),
    ("POST", f"{IMAGES}/_register", {"content": b"<a/>", "headers": {"content-type": "text/xml"}}, 415, "-415"),
    ("POST", f"{IMAGES}/_upload", {"json": []}, 415, "-415"),
    ("POST", f"{IMAGES}/_register", {"json": {}, "headers": {"content-encoding": "gzip"}}, 415, "-415"),
]


@pytest.mark.parametrize(("method", "path", "given", "http", "status"), REFUSALS)
async def test_in_both_forms(
    client: httpx.AsyncClient, method: str, path: str, given: dict[str, Any], http: int, status: str
) -> None:
    """Every error of the framework is in the envelope, or in RFC 9457 on request."""
    if given.get("headers") == {}:
        given = given | {"headers": {"content-type": "application/json"}}
    answer = await client.request(method, path, **given)
    assert (answer.status_code, answer.headers["content-type"]) == (http, "application/json")
    assert list(answer.json()) == ["status", "res", "msg"]
    assert (answer.json()["status"], answer.json()["res"]) == (status, None)
    assert "x-request-id" in answer.headers
    asked = given | {"headers": given.get("headers", {}) | {"accept": PROBLEM}}
    problem = await client.request(method, path, **asked)
    assert (problem.status_code, problem.headers["content-type"]) == (http, PROBLEM)
    assert list(problem.json()) == ["type", "title", "status", "detail", "code", "errors"]
    assert (problem.json()["status"], problem.json()["code"], problem.json()["errors"]) == (http, status, [])
    assert problem.json()["detail"] == answer.json()["msg"]


async def test_more_faults_than_an_answer_holds(client: httpx.AsyncClient) -> None:
    """At most two hundred faults of a record are listed; `msg` and the problem's detail give their total."""
    body = minimal() | {f"{'k' * 60}{number:04}": 1 for number in range(5000)}
    answer = await client.post(f"{IMAGES}/_register", json=body)
    listed = answer.json()["msg"].count("不是已知字段")
    assert answer.json()["msg"].endswith(f"……另有{5000 - listed}处错误未列出")
    problem = await client.post(f"{IMAGES}/_register", json=body, headers={"accept": PROBLEM})
    errors = problem.json()["errors"]
    assert len(errors) == listed == 200
    assert problem.json()["detail"].endswith(f"0002不是已知字段……另有{5000 - len(errors)}处错误未列出")
    assert max(len(answer.content), len(problem.content)) <= 256 * 1024


async def test_positions_of_faults(client: httpx.AsyncClient) -> None:
    """A problem has the position of the faulty list item, if any; each missing dependency is one fault."""
    await register(client, "algo/a")
    body = minimal("algo/b", dependencyServiceId="algo/x:1,algo/b:1.0,algo/a:1.0,algo/y:1")
    headers = {"accept": PROBLEM}
    problem = await client.post(f"{IMAGES}/_register", json=body, headers=headers)
    assert [(entry["field"], entry["position"]) for entry in problem.json()["errors"]] == [
        ("dependencyServiceId", 1),
        ("dependencyServiceId", 4),
    ]
    assert list(problem.json()["errors"][0]) == ["field", "position", "code", "message"]
    body |= {"imagePorts": "web:80,web:81", "workingDir": "x", "pvcSize": "x"}
    problem = await client.post(f"{IMAGES}/_register", json=body, headers=headers)
    told = [(entry["field"], entry.get("position", "none")) for entry in problem.json()["errors"]]
    assert told == [
        ("imagePorts", 2),
        ("pvcSize", "none"),
        ("workingDir", "none"),
        ("dependencyServiceId", 1),
        ("dependencyServiceId", 4),
    ]
    # An image's dependency on itself is never missing. Of the other
    # images, one has a valid tag and one has not.
    places = (("1.0", (1, 4)), ("2.0", (1, 4)), ("-", (1, 4)))
    right = {"imagePorts": None, "workingDir": None, "pvcSize": None, "imageTag": "2.0"}
    content = [body, body | right, body | right | {"imageTag": "-"}]
    uploaded = await client.post(f"{IMAGES}/_upload", files={"file": json.dumps(content)}, headers=headers)
    errors = uploaded.json()["errors"]
    assert list(errors[0]) == ["image", "field", "position", "code", "message"]
    told = [(entry["image"], entry.get("position", "none")) for entry in errors if entry["code"] == "308"]
    assert told == [(f"algo/b{tag}", position) for tag, positions in places for position in positions]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (f"{IMAGES}/_register", "POST"),
        (f"{IMAGES}/_search", "GET, HEAD, POST"),
        (f"{IMAGES}/{'0' * 32}", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
        ("/docs/assets/swagger-ui.css", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
    ],
)
async def test_allow(client: httpx.AsyncClient, path: str, allowed: str) -> None:
    """A disallowed method, including OPTIONS, is answered with all allowed ones."""
    for method in ("DELETE", "OPTIONS"):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_head(client: httpx.AsyncClient) -> None:
    """HEAD returns GET's headers without a body, and the connection stays in sync."""
    image_id = await register(client)
    for path in (f"{IMAGES}/{image_id}", f"{IMAGES}/_search", "/docs", f"{IMAGES}/{'0' * 32}"):
        got, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        for name in ("content-type", "etag", "content-length"):
            assert head.headers.get(name) == got.headers.get(name)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, False),
        ("*/*", False),
        ("application/*", False),
        ("application/json", False),
        (PROBLEM, True),
        ("Application/Problem+JSON", True),
        (f"application/json, {PROBLEM}", True),
        (f"text/html, {PROBLEM};q=0.1, */*", True),
        (f"{PROBLEM};q=0", False),
        (f"{PROBLEM}; q=0.000", False),
        (f"{PROBLEM};q=0.5, application/json", False),
        (f"{PROBLEM};q=0.9, application/json;q=0.8", True),
        (f"{PROBLEM};charset=utf-8;q=0.3", True),
        (f"{PROBLEM};q=nonsense", True),
        (f"x-{PROBLEM}", False),
        (",;,=;q=", False),
    ],
)
async def test_accept(client: httpx.AsyncClient, accept: str | None, wanted: bool) -> None:
    """RFC 9457 is for clients that name it, with a quality at least that of plain JSON."""
    answer = await client.get("/nowhere", headers={"accept": accept} if accept else {"accept": ""})
    assert answer.headers["content-type"] == (PROBLEM if wanted else "application/json")


async def test_two_accept_headers(client: httpx.AsyncClient) -> None:
    """Several Accept headers count as one list."""
    answer = await client.get("/nowhere", headers=[("accept", "text/html"), ("accept", PROBLEM)])
    assert answer.headers["content-type"] == PROBLEM


async def test_always_200(database_url: str) -> None:
    """Clients that read only the body get 200 with every envelope; RFC 9457 and probes keep their status."""
    async with serving(settings_for(database_url, http_status="always-200")) as client:
        await register(client)
        refused = await client.post(f"{IMAGES}/_register", json=minimal())
        assert (refused.status_code, refused.json()["status"]) == (200, "203")
        for path in ("/nowhere", f"{IMAGES}/{'0' * 32}"):
            assert (await client.get(path)).status_code == 200
            assert (await client.get(path, headers={"accept": PROBLEM})).status_code == 404
        execute(database_url, "UPDATE alembic_version SET version_num = '0001'", "DROP TABLE image CASCADE")
        broken = await client.get(f"{IMAGES}/_search")
        assert (broken.status_code, broken.json()["status"]) == (200, "-500")
        assert (await client.get("/readyz")).status_code == 503
