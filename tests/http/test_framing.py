"""Framing: no body is lost or run as a request (smuggling), and malformed bodies fail at once."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.support.images import IMAGES, minimal, records
from tests.support.raw import Connection, connected, post
from tests.support.service import App, serving, settings_for

REGISTER = f"{IMAGES}/_register"
BODY = json.dumps(minimal()).encode()
LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
SEARCH = f"GET {IMAGES}/_search HTTP/1.1\r\nHost: x\r\n\r\n".encode()
NO_HTTP = {"status": "-1", "res": None, "msg": "不是有效的HTTP请求"}


def chunk(content: bytes) -> bytes:
    """Return a chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(content), content)


async def refused(raw: Connection) -> None:
    """Expect an immediate "not HTTP" error and nothing after it."""
    async with asyncio.timeout(20):
        answer = await raw.answer()
    assert (answer.status, answer.envelope) == (400, NO_HTTP)
    assert answer.headers["connection"] == "close"
    assert await raw.closed()


@pytest.mark.parametrize("upgrade", ["Upgrade: h2c", "upgrade: websocket", "UPGRADE: TLS/1.0, h2c"])
@pytest.mark.parametrize("framing", [LENGTH, CHUNKED])
async def test_other_protocols(client: httpx.AsyncClient, upgrade: str, framing: str) -> None:
    """An Upgrade offer is ignored, and the body is read, whether it arrives in one piece or two."""
    body = BODY if framing == LENGTH else chunk(BODY) + b"0\r\n\r\n"
    head = post(REGISTER, *UPGRADE, upgrade, framing)
    async with connected(client) as raw:
        await raw.send(head + body)
        assert (await raw.answer()).envelope["status"] == "0"
        await raw.send(head, body, pause=0.05)
        assert (await raw.answer()).envelope["status"] == "203"
        await raw.send(SEARCH)
        assert len((await raw.answer()).envelope["res"]["data"]) == 1


async def test_body_that_looks_like_a_request(client: httpx.AsyncClient) -> None:
    """A body is never run as a request, even if it looks like one."""
    hidden = post(REGISTER, LENGTH) + BODY
    head = post(REGISTER, *UPGRADE, "Upgrade: h2c", f"Content-Length: {len(hidden)}")
    async with connected(client) as raw:
        for pieces in ([head, hidden], [head + hidden]):
            await raw.send(*pieces, SEARCH, pause=0.05)
            assert (await raw.answer()).status == 400
            assert (await raw.answer()).envelope["res"]["data"] == []


@pytest.mark.parametrize("early", [0, 1, 2, 4])
async def test_body_that_looks_like_an_offer(database_url: str, early: int) -> None:
    """A body passes unmodified, even if a piece begins with the last bytes of the head."""
    body = b"Upgrade: h2c\r\nUpgrade: h2c\r\n\r\nUpgrade: h2c"
    request = post(REGISTER, f"Content-Length: {len(body)}") + body
    seen = bytearray()

    def proxy(app: App) -> App:
        async def passed_on(scope: Any, receive: Any, send: Any) -> None:
            async def noted() -> Any:
                message = await receive()
                seen.extend(message.get("body", b""))
                return message

            await app(scope, noted, send)

        return passed_on

    async with serving(settings_for(database_url), proxy) as client, connected(client) as raw:
        at = len(request) - len(body) - early
        await raw.send(request[:at], request[at:], pause=0.05)
        assert (await raw.answer()).status == 400
    assert bytes(seen) == body


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 9])
async def test_offer_in_two_pieces(client: httpx.AsyncClient, cut: int) -> None:
    """An Upgrade offer that is recognized too late to be ignored is rejected along with its body."""
    request = post(REGISTER, *UPGRADE, "Upgrade: h2c", LENGTH) + BODY
    at = request.index(b"\r\nUpgrade: ") + cut
    async with connected(client) as raw:
        await raw.send(request[:at], request[at:], pause=0.05)
        await refused(raw)
    assert await records(client) == []


async def test_offer_behind_another_request(client: httpx.AsyncClient) -> None:
    """The earlier request is answered; then the connection closes before the later one is misread."""
    hidden = post(REGISTER, LENGTH) + BODY
    async with connected(client) as raw:
        await raw.send(SEARCH + post(REGISTER, *UPGRADE, "Upgrade: h2c", f"Content-Length: {len(hidden)}"), hidden)
        assert (await raw.answer()).status == 200
        assert await raw.closed()
    assert await records(client) == []


async def test_tunnel(client: httpx.AsyncClient) -> None:
    """CONNECT opens no tunnel, and nothing that follows it is run."""
    async with connected(client) as raw:
        await raw.send(b"CONNECT /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + post(REGISTER, LENGTH) + BODY)
        await refused(raw)
    assert await records(client) == []


async def test_trailers_are_no_headers(database_url: str) -> None:
    """Trailers cannot set the caller or the client's address, in one piece or in two."""
    trailers = b"0\r\nX-User: root\r\nX-Forwarded-For: 203.0.113.9\r\nAccept: application/problem+json\r\n\r\n"
    given: dict[str, Any] = {"actor_header": "X-User", "trusted_proxies": frozenset({"127.0.0.1"})}
    async with serving(settings_for(database_url, **given)) as client, connected(client) as raw:
        with capture_logs() as lines:
            await raw.send(post(REGISTER, CHUNKED) + chunk(BODY) + trailers)
            answer = await raw.answer()
            await raw.send(post(REGISTER, CHUNKED), chunk(b"{}"), trailers[:30], trailers[30:], pause=0.05)
            assert (await raw.answer()).headers["content-type"] == "application/json"
        history = (await client.get(f"{answer.headers['location']}/history")).json()
    assert [item["actor"] for item in history["res"]["data"]] == [None]
    assert {line["client"] for line in lines if line["event"] == "request"} == {"127.0.0.1"}


@pytest.mark.parametrize(
    "pieces",
    [
        [b"0\r\n", *[b"A: b\r\n" * 1000] * 100],
        [b"0\r\nA: ", *[b"a" * 10_000] * 100],
        [b"1;a=", *[b"a" * 10_000] * 100],
        [b"0\r\n" + b"A: b\r\n" * 100_000],
    ],
    ids=["many trailers", "one trailer", "an extension", "in large pieces"],
)
async def test_long_trailers(client: httpx.AsyncClient, pieces: list[bytes]) -> None:
    """Chunk headers and trailers are limited in size like a head."""
    async with connected(client) as raw:
        sending = asyncio.create_task(raw.send(post(REGISTER, CHUNKED) + chunk(b"{"), *pieces))
        await refused(raw)
        await sending


@pytest.mark.parametrize(
    ("coding", "pieces"),
    [
        ("chunked", [b"zz\r\n"]),
        ("chunked", [b"", b"zz\r\n"]),
        ("chunked", [chunk(b"{"), b"zz\r\n"]),
        ("chunked", [b"1\r\n{}\r\n"]),
        ("gzip", [b"{}"]),
        ("identity", [b""]),
    ],
)
async def test_malformed_body(client: httpx.AsyncClient, coding: str, pieces: list[bytes]) -> None:
    """A malformed body is rejected as soon as it shows, not after the timeout; no route waits for it."""
    for path in (REGISTER, "/healthz", "/nothing"):
        async with connected(client) as raw, asyncio.timeout(20):
            await raw.send(post(path, f"Transfer-Encoding: {coding}") + pieces[0], *pieces[1:], pause=0.05)
            answer = await raw.answer()
            assert answer.headers["connection"] == "close"
            assert path != REGISTER or (answer.status, answer.envelope) == (400, NO_HTTP)
            assert await raw.closed()


async def test_malformed_body_behind_another_request(client: httpx.AsyncClient) -> None:
    """The rejection comes in turn, after the response to the earlier request."""
    async with connected(client) as raw:
        await raw.send(SEARCH + post(REGISTER, CHUNKED) + b"zz\r\n" + SEARCH)
        assert (await raw.answer()).status == 200
        await refused(raw)


async def test_malformed_body_as_a_problem(client: httpx.AsyncClient) -> None:
    """The head is valid, so the error has the format that it asks for."""
    async with connected(client) as raw:
        await raw.send(post(REGISTER, CHUNKED, "Accept: application/problem+json") + b"zz\r\n")
        answer = await raw.answer()
        assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
        assert answer.envelope["code"] == "-1"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((LENGTH, "Content-Encoding:"), "0"),
        ((LENGTH, "Content-Encoding: Identity"), "0"),
        ((LENGTH, "Content-Encoding: identity", "Content-Encoding: gzip"), "-415"),
        ((LENGTH, "Content-Encoding: identity, gzip"), "-415"),
        ((CHUNKED,), "0"),
        (("transfer-encoding: Chunked",), "0"),
        (("Transfer-Encoding: gzip, chunked",), "-415"),
        (("Transfer-Encoding: gzip", CHUNKED), "-415"),
    ],
)
async def test_codings(client: httpx.AsyncClient, headers: tuple[str, ...], status: str) -> None:
    """A body is taken as it is or rejected, whichever header declares a coding."""
    body = BODY if LENGTH in headers else chunk(BODY) + b"0\r\n\r\n"
    async with connected(client) as raw:
        await raw.send(post(REGISTER, *headers) + body + SEARCH)
        assert (await raw.answer()).envelope["status"] == status
        assert len((await raw.answer()).envelope["res"]["data"]) == (status == "0")


@pytest.mark.parametrize(
    "request_", [b"hello\r\n\r\n", b"GET /" + b"a" * 40_000, b"GET /healthz HT"], ids=["no HTTP", "long", "slow"]
)
async def test_always_200(database_url: str, request_: bytes) -> None:
    """always-200 also applies to errors before there is a request."""
    given: dict[str, Any] = {"http_status": "always-200", "header_timeout": 0.3}
    async with serving(settings_for(database_url, **given)) as client, connected(client) as raw:
        await raw.send(request_)
        answer = await raw.answer()
        assert (answer.status, answer.envelope["status"]) == (200, "-1")
        assert await raw.closed()
