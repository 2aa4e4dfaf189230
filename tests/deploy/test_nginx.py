"""The service behind a real nginx with the shipped configuration."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, minimal, register, upload
from tests.support.programs import ROOT, free_port, needs, running
from tests.support.service import App, listening, serving, settings_for
from tests.support.tour import tour

pytestmark = needs("nginx")
TOKEN = {"authorization": "Bearer good"}


def identity_noting(asked: list[bytes]) -> App:
    """An identity service that records each path it is asked about; a reader may not register."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        if headers.get(b"x-role") != b"reader":
            return await identity(scope, receive, send)
        asked.append(headers[b"x-original-uri"])
        status = 403 if headers[b"x-original-uri"].endswith(b"/_register") else 204
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


async def identity(scope: Any, receive: Any, send: Any) -> None:
    """Accept one token and name its user; forbid what that user may not do; reject all other tokens."""
    headers = dict(scope["headers"])
    known = headers.get(b"authorization") == b"Bearer good" and b"x-user" not in headers
    status = 204 if known else 401
    given = [(b"x-user", b"alice")] if known else []
    if headers[b"x-original-uri"].startswith(b"/secret"):
        status = 403
    if headers[b"x-original-uri"].startswith(b"/nameless"):
        status, given = 204, []
    if headers[b"x-original-uri"].startswith(b"/challenge"):
        status, given = 401, [(b"www-authenticate", b'Basic realm="x"')]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": b""})


def without_gateway(text: str) -> str:
    """Remove lines and blocks marked "gateway"."""
    kept, inside = [], ""
    for line in text.splitlines():
        indentation = line[: len(line) - len(line.lstrip())]
        if inside:
            inside = "" if line == f"{inside}}}" else inside
        elif line.endswith("{ # gateway"):
            inside = indentation
        elif not line.endswith("# gateway"):
            kept.append(line)
    return "\n".join(kept)


@asynccontextmanager
async def nginx(
    folder: Path, upstream: int, root: str = "", *, gateway: bool = True, asked: list[bytes] | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Run nginx in front of a port; return a client with a valid token."""
    async with listening(identity if asked is None else identity_noting(asked)) as known:
        port = free_port()
        text = (ROOT / "deploy/nginx/nginx.conf").read_text()
        text = text if gateway else without_gateway(text)
        places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi"))
        places += f"uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;"
        for ours, theirs in {
            "algoplatform:8000": f"127.0.0.1:{upstream}",
            "identity:9000": f"127.0.0.1:{known}",
            "listen 8080": f"listen 127.0.0.1:{port}",
            "http {\n": f"http {{\n{places}\n",
        }.items():
            assert ours in text
            text = text.replace(ours, theirs)
        (folder / "nginx.conf").write_text(text)
        # nginx's workers need access to the test's folder, too.
        globals_ = f"daemon off; pid {folder}/pid; error_log stderr;" + ("user root;" if os.geteuid() == 0 else "")
        command: list[str | Path] = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-g", globals_]
        with running(command, port, folder / "log"):
            base = f"http://127.0.0.1:{port}{root}"
            async with httpx.AsyncClient(base_url=base, headers=TOKEN, timeout=240) as client:
                yield client


@asynccontextmanager
async def fronted(
    url: str, folder: Path, root: str = "", *, asked: list[bytes] | None = None, **given: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service behind nginx."""
    settings = settings_for(url, root_path=root, **given)
    async with serving(settings) as direct, nginx(folder, direct.base_url.port or 0, root, asked=asked) as client:
        yield client


@pytest.mark.parametrize("root", ["", "/registry"])
async def test_every_operation(database_url: str, tmp_path: Path, root: str) -> None:
    """Every operation passes, including a GET search with a body, with and without a path prefix."""
    async with fronted(database_url, tmp_path, root) as client:
        await tour(client)
        answer = await client.post(f"{IMAGES}/_register", json=minimal("algo/located"))
        assert answer.headers["location"].startswith(f"{root}{IMAGES}/")
        assert (await client.get("/docs")).status_code == 200


async def test_large_bodies(database_url: str, tmp_path: Path) -> None:
    """Uploads above nginx's default limit pass; larger ones get an envelope from nginx or the service."""
    # The service waits for an announced body before it rejects it, so that a client
    # that still writes can read the response.
    async with fronted(database_url, tmp_path, body_timeout=1) as client:
        many = [minimal(f"algo/n{number}", algoDesc="图" * 1300) for number in range(1500)]
        uploaded = await upload(client, many)
        assert uploaded.json()["res"] == {"created": 1500, "updated": 0, "unchanged": 0, "skipped": 0}, uploaded.text[
            :300
        ]
        assert len((await client.post(f"{IMAGES}/_load")).content) > 4 * 1024**2
        port = client.base_url.port or 0
        for size, message in ((256 * 1024**2 + 1, "268435456"), (258 * 1024**2, "请求体超过上限")):
            head, body = await declared(port, "_upload", size)
            assert " 413 " in head
            assert '"status":"-413"' in body
            assert message in body
            assert "x-request-id: " in head.lower()
        head, body = await declared(port, "_register", 3 * 1024**2)
        assert '"msg":"请求体超过上限"' in body


async def declared(port: int, operation: str, size: int) -> tuple[str, str]:
    """Announce a body without sending any of it; return the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    kind = "multipart/form-data; boundary=x" if operation == "_upload" else "application/json"
    writer.write(
        f"POST {IMAGES}/{operation} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode()
    )
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 120)
    writer.close()
    head, _, body = answer.decode().partition("\r\n\r\n")
    return head, body


async def test_request_id(database_url: str, tmp_path: Path) -> None:
    """A valid request id of the client is returned, an invalid one replaced; every response has one."""
    async with fronted(database_url, tmp_path) as client:
        for sent, kept in (("trace-1.A", True), ("no id", False)):
            answer = await client.get(f"{IMAGES}/_search", headers={"x-request-id": sent})
            assert (answer.headers.get_list("x-request-id") == [sent]) is kept
            assert len(answer.headers.get_list("x-request-id")) == 1


async def test_who_may(database_url: str, tmp_path: Path) -> None:
    """Unknown tokens get 401, forbidden requests 403, both in the envelope."""
    async with fronted(database_url, tmp_path) as client:
        await register(client)
        refused = await client.get(f"{IMAGES}/_search", headers={"authorization": "Bearer bad"})
        assert (refused.status_code, refused.json()["status"]) == (401, "-401")
        assert refused.headers.get_list("www-authenticate") == ["Bearer"]
        assert refused.headers.get_list("cache-control") == ["no-store"]
        challenged = await client.get("/challenge")
        assert challenged.headers.get_list("www-authenticate") == ['Basic realm="x"']
        assert (await upload(client, [minimal()])).status_code == 200
        client.headers.pop("authorization")
        assert (await upload(client, [minimal("algo/other")])).status_code == 401
        forbidden = await client.get("/secret")
        assert (forbidden.status_code, forbidden.json()["status"]) == (403, "240")
        for inside in ("/metrics", "/readyz", "/healthz", "/_authenticate", "/_malformed"):
            assert (await client.get(inside, headers=TOKEN)).status_code == 404


SPELLINGS = (
    "/algoPlatform/images/_register",
    "/algoPlatform/images/%5Fregister",
    "/algoPlatform/images/%5fregis%74er",
    "/%61lgoPlatform/images/_register",
    "/algoPlatform/images%2F_register",
    "/algoPlatform%2fimages/_register?x=%5F",
    "/algoPlatform/./images/_register",
    "//algoPlatform/images/_register",
    "/algoPlatform/x/..%2Fimages/_register",
)


@pytest.mark.parametrize("path", SPELLINGS)
async def test_rules_hold_for_every_spelling(database_url: str, tmp_path: Path, path: str) -> None:
    """A path that the identity service forbids is forbidden in every spelling."""
    asked: list[bytes] = []
    async with fronted(database_url, tmp_path, asked=asked) as client:
        port = client.base_url.port or 0
        head = await raw(port, f"POST {path} HTTP/1.1", json.dumps(minimal("algo/forbidden")), "x-role: reader")
        assert " 403 " in head
        assert asked == [b"/algoPlatform/images/_register"]
        found = await client.get(f"{IMAGES}/_search", params={"searchCondition": "forbidden"})
        assert found.json()["res"]["data"] == []


@pytest.mark.parametrize("path", ["/x%0d%0aAuthorization:%20Bearer%20good", "/x%0aX-User:%20m", "/x%7F", "/%1f"])
async def test_no_header_in_a_path(database_url: str, tmp_path: Path, path: str) -> None:
    """nginx rejects a path that decodes to a line break or control character, in the envelope."""
    asked: list[bytes] = []
    async with fronted(database_url, tmp_path, asked=asked) as client:
        answer = await raw(client.base_url.port or 0, f"GET {path} HTTP/1.1", "", "authorization: Bearer bad")
    assert " 400 " in answer
    assert "content-type: application/json" in answer.lower()
    assert '"status":"-1"' in answer
    assert asked == []


async def raw(port: int, line: str, body: str, *headers: str) -> str:
    """Send a request line unmodified; return the complete response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    fields = [f"content-length: {len(body.encode())}", "content-type: application/json", "connection: close", *headers]
    known = [] if any(field.startswith("authorization") for field in fields) else ["authorization: Bearer good"]
    writer.write("\r\n".join([line, "host: x", *fields, *known, "", body]).encode())
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer.decode()


async def test_actor(database_url: str, tmp_path: Path) -> None:
    """The history names the authenticated user, whatever headers the client sends."""
    async with fronted(database_url, tmp_path, actor_header="X-User") as client:
        answer = await client.post(f"{IMAGES}/_register", json=minimal(), headers={"x-user": "mallory"})
        history = await client.get(f"{answer.headers['location']}/history", headers={"x-user": "mallory"})
        assert [revision["actor"] for revision in history.json()["res"]["data"]] == ["alice"]


async def test_service_away(tmp_path: Path) -> None:
    """While no replica is reachable, the response is -503 in the envelope, with Retry-After."""
    async with nginx(tmp_path, free_port()) as client:
        answer = await client.get(f"{IMAGES}/_search")
        assert (answer.status_code, answer.json()["status"], answer.headers["retry-after"]) == (503, "-503", "1")


def recorder(go: asyncio.Event, seen: dict[str, str]) -> App:
    """Record a request's headers; send half of the response, and the rest on a signal."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update({name.decode(): value.decode() for name, value in scope["headers"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first,", "more_body": True})
        await go.wait()
        await send({"type": "http.response.body", "body": b"last"})

    return app


async def test_streamed(tmp_path: Path) -> None:
    """The client receives the first records of _load before the service has sent the last."""
    go, seen = asyncio.Event(), dict[str, str]()
    async with (
        listening(recorder(go, seen)) as upstream,
        nginx(tmp_path, upstream) as client,
        client.stream("POST", f"{IMAGES}/_load") as answer,
    ):
        parts = answer.aiter_raw()
        assert await asyncio.wait_for(anext(parts), 60) == b"first,"
        go.set()
        assert b"".join([part async for part in parts]) == b"last"


async def test_headers(tmp_path: Path) -> None:
    """Identity headers that a client sets do not reach the service, nor does its token."""
    go, seen = asyncio.Event(), dict[str, str]()
    go.set()
    claims = {"x-forwarded-for": "10.0.0.1", "x-forwarded-proto": "https", "forwarded": "for=10.0.0.1", "x-user": "m"}
    async with listening(recorder(go, seen)) as upstream, nginx(tmp_path, upstream) as client:
        await client.get("/nameless", headers=claims)
        assert "x-user" not in seen
        await client.get(f"{IMAGES}/_search", headers=claims | {"host": "registry.example:8443"})
    assert seen["x-user"] == "alice"
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert seen["host"] == seen["x-forwarded-host"] == "registry.example:8443"
    assert "forwarded" not in seen
    assert "authorization" not in seen
    assert len(seen["x-request-id"]) == 32


async def test_without_gateway(tmp_path: Path) -> None:
    """Without the marked lines nginx does not authenticate, and the token reaches the service."""
    go, seen = asyncio.Event(), dict[str, str]()
    go.set()
    async with listening(recorder(go, seen)) as upstream, nginx(tmp_path, upstream, gateway=False) as client:
        answer = await client.get(f"{IMAGES}/_search", headers={"authorization": "Bearer bad"})
    assert (answer.status_code, seen["authorization"]) == (200, "Bearer bad")


async def test_console(database_url: str, tmp_path: Path) -> None:
    """Pages and large imports pass; without a login navigations are redirected to it, and fetches get 401."""
    async with fronted(database_url, tmp_path, "/registry") as client:
        assert (await client.get("/console/images")).status_code == 200
        some = json.dumps([minimal(f"algo/n{at}", algoDesc="d" * 4000) for at in range(1500)])
        form: Any = {"files": {"file": ("list.json", some.encode())}, "data": {"dryRun": "true"}}
        answer = await client.post("/console/import", headers={"x-part": "progress"}, **form)
        assert len(answer.text.splitlines()) > 1
        assert json.loads(answer.text.splitlines()[-1])["ok"] is True
        del client.headers["authorization"]
        sent = await client.get("/console/images?namespace=algo")
        assert sent.status_code == 303
        assert sent.headers["location"].startswith("https://identity.example.com/login?to=http://127.0.0.1:")
        assert sent.headers["location"].endswith("/registry/console/images?namespace=algo")
        assert (await client.get("/console/images", headers={"x-part": "rows"})).status_code == 401
        assert (await client.get("/console/session")).status_code == 401
        assert (await client.post("/console/images/new", data={"a": "b"})).status_code == 401
        assert (await client.get("/algoPlatform/images/_search")).json()["status"] == "-401"


async def test_refusals_of_the_console(database_url: str, tmp_path: Path) -> None:
    """For requests of pages, nginx's own errors are pages."""
    async with fronted(database_url, tmp_path) as client:
        port = client.base_url.port or 0
        answers = [(" 413 ", "请求体超过上限", await announced(port, path)) for path in ("images/new", "import")]
        answers.append((" 403 ", "没有权限", await raw(port, "GET /secret/console/images HTTP/1.1", "")))
    async with nginx(tmp_path, free_port()) as client:
        away = await raw(client.base_url.port or 0, "GET /console/images HTTP/1.1", "")
        answers.append((" 503 ", "服务暂时不可用", away))
    for status, text, answer in answers:
        head, _, body = answer.partition("\r\n\r\n")
        assert status in head
        assert "content-type: text/html; charset=utf-8" in head.lower()
        assert "x-request-id: " in head.lower()
        assert f"<h1>{text}</h1>" in body


async def announced(port: int, path: str) -> str:
    """Announce a form above nginx's limit without sending any of it; return the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = (f"POST /console/{path} HTTP/1.1", "Host: x", "Authorization: Bearer good", "Connection: close")
    writer.write("\r\n".join((*lines, f"Content-Length: {300 * 1024**2}", "", "")).encode())
    answer = await asyncio.wait_for(reader.read(), 120)
    writer.close()
    return answer.decode()
