"""Request heads: as HTTP requires, as people type URLs, and for HTTP/1.0 clients."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from algoplatform.api.server import heads
from tests.support.images import IMAGES, minimal, records, register, upload
from tests.support.raw import Connection, connected, post
from tests.support.service import serving, settings_for

REGISTER = f"{IMAGES}/_register"
BODY = json.dumps(minimal()).encode()
HOST = "请求头Host须有且只有一个"


def get(target: str, *headers: str, version: str = "1.1", coding: str = "utf-8") -> bytes:
    """Return a GET request with its target as typed."""
    return f"GET {target} HTTP/{version}\r\n".encode(coding) + "\r\n".join(("Host: x", *headers, "", "")).encode()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: a\r\nHOST: b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
        ("\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ],
)
async def test_hosts(client: httpx.AsyncClient, head: str, status: int) -> None:
    """HTTP/1.1 requires exactly one Host (RFC 9112, 3.2); HTTP/1.0 may omit it."""
    async with connected(client) as raw:
        await raw.send(head.encode())
        answer = await raw.answer()
        assert answer.status == status
        if status == 400:
            assert answer.envelope == {"status": "-1", "res": None, "msg": HOST}
            assert await raw.closed()


@pytest.mark.parametrize("blank", [" ", "\t", " \t "])
async def test_blanks_behind_values(client: httpx.AsyncClient, blank: str) -> None:
    """White space behind the value of a header is no part of it (RFC 9110, section 5.5)."""
    host = f"localhost:{client.base_url.port}"
    headers = [f"Host: {host}", f"Origin: http://{host}", "Idempotency-Key: one", "Content-Type: application/json"]
    lines = [f"{header}{blank}" for header in headers] + [f"Content-Length: {len(BODY)}"]
    async with connected(client) as raw:
        await raw.send("\r\n".join([f"POST {REGISTER} HTTP/1.1", *lines, "", ""]).encode() + BODY)
        answer = await raw.answer()
    assert answer.status == 200, answer.body
    again = {"idempotency-key": "one", "content-type": "application/json"}
    assert (await client.post(REGISTER, content=BODY, headers=again)).status_code == 200


@pytest.mark.parametrize(
    "line",
    [
        "GET /healthz HTTP/0.9",
        "GET /healthz",
        "GET /healthz HTTP/2.0",
        "OPTIONS /healthz RTSP/1.0",
        "DESCRIBE /healthz RTSP/1.0",
        "GET /healthz RTSP/1.0",
        "SOURCE /healthz ICE/1.0",
        "GET /healthz HTTP/1.1 RTSP/1.0",
    ],
)
@pytest.mark.parametrize("cut", [None, 2, -2])
async def test_other_protocols(client: httpx.AsyncClient, line: str, cut: int | None) -> None:
    """Only HTTP/1.0 and 1.1 are accepted, in whatever pieces the line arrives."""
    async with connected(client) as raw:
        sending = asyncio.create_task(
            raw.send(line[:cut].encode(), f"{line[cut:]}\r\nHost: x\r\n\r\n".encode(), pause=0.05)
            if cut
            else raw.send(f"{line}\r\nHost: x\r\n\r\n".encode())
        )
        answer = await raw.answer()
        assert (answer.status, answer.envelope["status"]) == (400, "-1")
        assert await raw.closed()
        await sending


async def test_many_headers(client: httpx.AsyncClient) -> None:
    """Each middleware pays for every header; no real client sends that many."""
    async with connected(client) as raw:
        await raw.send(get("/healthz", *["A: b"] * 250))
        assert (await raw.answer()).status == 200
        await raw.send(get("/healthz", *["A: b"] * 300))
        answer = await raw.answer()
        assert (answer.status, answer.envelope["msg"]) == (431, "请求头超过上限256个")


async def search(raw: Connection, text: str, coding: str = "utf-8", cut: int = 0) -> Any:
    """Search like `curl` with a typed URL; `cut` sends it in two pieces."""
    request = get(f"{IMAGES}/_search?searchCondition={text}", "X-User: 张三", coding=coding)
    await raw.send(*([request[:cut], request[cut:]] if cut else [request]), pause=0.05)
    answer = await raw.answer()
    return answer.status, answer.envelope


async def test_raw_utf_8(client: httpx.AsyncClient) -> None:
    """Raw text in a URL finds the same as its percent-encoded form, in whatever pieces it arrives."""
    image_id = await register(client, "algo/a", algoName="抽帧")
    request = get(f"{IMAGES}/_search?searchCondition=抽帧", "X-User: 张三")
    line = request.index(b"\r\n")
    async with connected(client) as raw:
        for cut in (0, 10, line - 11, line - 10, line - 1, line, line + 1, line + 2, line + 12, line + 13):
            status, envelope = await search(raw, "抽帧", cut=cut)
            assert (status, [record["imageId"] for record in envelope["res"]["data"]]) == (200, [image_id]), cut
        assert (await search(raw, "没有"))[1]["res"] == {"data": []}
        await raw.send(b"\r\n" + get(f"{IMAGES}/抽帧") + get("/healthz"))
        answer = await raw.answer()
        assert (answer.status, answer.envelope["msg"]) == (404, "镜像不存在：抽帧")
        assert (await raw.answer()).status == 200


async def test_names_in_headers_stay(database_url: str) -> None:
    """Only the target is encoded: headers stay as sent, in the same piece or in one of their own."""
    async with serving(settings_for(database_url, actor_header="X-User")) as client, connected(client) as raw:
        for number, pause in enumerate((None, 0.05)):
            body = json.dumps(minimal(f"algo/a{number}")).encode()
            head = post(f"{REGISTER}?%E6%8A%BD=" if pause else f"{REGISTER}", f"Content-Length: {len(body)}")
            line, _, rest = head.partition(b"\r\n")
            pieces = [line + b"\r\n", "X-User: 张三\r\n".encode(), rest, body]
            await raw.send(*(pieces if pause else [b"".join(pieces)]), pause=pause or 0)
            answer = await raw.answer()
            assert answer.status == 200
            history = (await client.get(f"{answer.headers['location']}/history")).json()
            assert history["res"]["data"][0]["actor"] == "张三"


@pytest.mark.parametrize("path", ["%B3%E9", "%FF", "a%E6%8A", "%ED%A0%80", "%C0%80"])
async def test_path_that_is_not_utf_8(client: httpx.AsyncClient, path: str) -> None:
    """The error is a malformed request, not a missing image."""
    for method in ("GET", "POST"):
        answer = await client.request(method, f"{IMAGES}/{path}")
        assert (answer.status_code, answer.json()) == (400, {"status": "-1", "res": None, "msg": "路径不是UTF-8编码"})
    kept = await client.get(f"{IMAGES}/{quote('�')}")
    assert kept.status_code == 404


async def test_raw_path_that_is_not_utf_8(client: httpx.AsyncClient) -> None:
    """Raw bytes are treated as if percent-encoded, and rejected like these."""
    async with connected(client) as raw:
        await raw.send(get(f"{IMAGES}/抽帧", coding="gbk"))
        answer = await raw.answer()
        assert (answer.status, answer.envelope["status"]) == (400, "-1")


def test_request_lines() -> None:
    """A line may arrive byte by byte, and after empty lines."""
    request = "\r\nGET /抽 HTTP/1.1\r\nX-User: 张\r\n".encode()
    line = heads.RequestLine(1000)
    read = b"".join(line.read(request[at : at + 1]) or b"!" for at in range(request.index(b"\r\nX") + 2))
    assert read == b"\r\nGET /%E6%8A%BD HTTP/1.1\r\n"
    assert not line.is_open
    assert heads.RequestLine(1000).read(request) == b"\r\nGET /%E6%8A%BD HTTP/1.1\r\nX-User: " + "张\r\n".encode()
    long = b"GET /" + "抽".encode() * 200
    assert heads.RequestLine(1000).read(long) == long


async def whole(raw: Connection) -> tuple[dict[str, str], bytes]:
    """Read the whole response, up to the end of the connection."""
    async with asyncio.timeout(30):
        head, _, body = (await raw.reader.read(-1)).partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    return {name.lower(): value for name, _, value in lines}, body


@pytest.mark.parametrize("count", [1, 1500])
async def test_no_chunks_for_old_clients(client: httpx.AsyncClient, count: int) -> None:
    """HTTP/1.0 gets streamed responses without chunks, delimited by the end of the connection."""
    await upload(client, [minimal(f"algo/i{number}") for number in range(count)])
    for method, operation in (("POST", "_load"), ("GET", "_search"), ("POST", "_search")):
        plain = await client.request(method, f"{IMAGES}/{operation}")
        async with connected(client) as raw:
            await raw.send(f"{method} {IMAGES}/{operation} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode())
            headers, body = await whole(raw)
        assert "transfer-encoding" not in headers
        assert headers["connection"] == "close"
        assert body == plain.content
    async with connected(client) as raw:
        await raw.send(f"HEAD {IMAGES}/_search HTTP/1.0\r\n\r\n".encode())
        headers, body = await whole(raw)
        assert ("transfer-encoding" in headers, body) == (False, b"")
    async with connected(client) as raw:
        body = BODY
        await raw.send(
            f"POST {REGISTER} HTTP/1.0\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert (await raw.answer()).envelope["status"] == "0"


async def test_broken_off_for_old_clients(database_url: str) -> None:
    """A broken response without a length resets the connection, as a normal close would mark it complete."""

    def breaking(app: Any) -> Any:
        async def broken(scope: Any, receive: Any, send: Any) -> None:
            sent = 0

            async def failing(message: Any) -> None:
                nonlocal sent
                sent += len(message.get("body", b""))
                if sent > 100_000:
                    raise RuntimeError("as if the database had gone")
                await send(message)

            await app(scope, receive, failing if scope["type"] == "http" and scope["path"].endswith("_load") else send)

        return broken

    async with serving(settings_for(database_url), breaking) as client:
        await upload(client, [minimal(f"algo/i{number}", algoDesc="长" * 100) for number in range(1000)])
        async with connected(client) as raw:
            await raw.send(f"POST {IMAGES}/_load HTTP/1.0\r\n\r\n".encode())
            with pytest.raises(ConnectionResetError):
                await raw.reader.read(-1)


async def test_sent_ahead(client: httpx.AsyncClient) -> None:
    """Pipelined requests, with bodies and without, are answered in order, however they are cut."""
    one = get("/healthz") + post(REGISTER, f"Content-Length: {len(BODY)}") + BODY + get(f"{IMAGES}/_search")
    data = one * 60
    for size in (len(data), 4096, 4095, 1000):
        async with connected(client) as raw:
            sending = asyncio.create_task(raw.send(*(data[at : at + size] for at in range(0, len(data), size))))
            for _ in range(60):
                assert (await raw.answer()).status == 200
                assert (await raw.answer()).envelope["status"] in ("0", "203")
                assert len((await raw.answer()).envelope["res"]["data"]) == 1
            await sending
    assert len(await records(client)) == 1


async def test_sent_ahead_of_a_refusal(client: httpx.AsyncClient) -> None:
    """A malformed request closes the connection after the responses before it, and none after it is run."""
    async with connected(client) as raw:
        await raw.send(
            get("/healthz") * 500 + b"rubbish\r\n\r\n" + post(REGISTER, f"Content-Length: {len(BODY)}") + BODY
        )
        for _ in range(500):
            assert (await raw.answer()).status == 200
        rest = await raw.reader.read(-1)
    assert rest == b"" or (rest.startswith(b"HTTP/1.1 400 ") and rest.count(b"HTTP/1.1") == 1)
    assert await records(client) == []
