"""Limits on duration and size: exceeding one gets an envelope, and other clients are not affected."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from algoplatform.settings import Settings
from tests.support.images import IMAGES, minimal, records, upload
from tests.support.raw import Connection, connected, post
from tests.support.service import serving, settings_for
from tests.support.tokens import SETTINGS, pem, rsa_key

REGISTER = f"{IMAGES}/_register"
LIMIT = 1024 * 1024
_WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE datname = current_database() AND NOT granted
"""
# Records of 12 KiB: in total more than the buffers between two sockets hold.
_MANY = 500


@asynccontextmanager
async def limited(database_url: str, **given: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Connection]]:
    """Serve with these settings; yields a client and a raw connection."""
    async with serving(settings_for(database_url, **given)) as client, connected(client) as raw:
        yield client, raw


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 100_000 + b"\r\n\r\n"],
        [b"GET / HTTP/1.1\r\nHost: x\r\n", *[b"A: " + b"a" * 1000 + b"\r\n"] * 100],
        [b"GET / HTTP/1.1\r\nHost: x\r\nA: ", *[b"a" * 10_000] * 1000],
        [b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"],
        [b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 8000 + b"\r\n"],
        [b"G" * 40_000],
    ],
    ids=["one header", "many pieces", "ten megabytes", "address", "many headers", "method"],
)
async def test_long_head(client: httpx.AsyncClient, pieces: list[bytes]) -> None:
    """An overlong head is rejected as soon as it exceeds the limit, and the connection closes."""
    async with connected(client) as raw:
        sending = asyncio.create_task(raw.send(*pieces))
        answer = await raw.answer()
        assert answer.status in (400, 431)
        assert answer.envelope["status"] == "-1"
        assert await raw.closed()
        await sending


async def test_head_within_the_limit(client: httpx.AsyncClient) -> None:
    """A head within the limit passes, in pieces, pipelined, and with a body longer than the limit."""
    async with connected(client) as raw:
        get = b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 30_000 + b"\r\n\r\n"
        await raw.send(get[:9000], get[9000:], get + get)
        assert [(await raw.answer()).status for _ in range(3)] == [200, 200, 200]
        body = json.dumps(minimal()).encode() + b" " * 100_000
        await raw.send(post(REGISTER, f"Content-Length: {len(body)}") + body)
        assert (await raw.answer()).status == 200


async def test_slow_head(database_url: str) -> None:
    """A head has a deadline, however steadily bytes arrive; an idle connection is closed."""
    async with (
        limited(database_url, header_timeout=0.3) as (client, raw),
        connected(client) as silent,
        connected(client) as second,
    ):
        sending = asyncio.create_task(raw.send(*[b"G", b"E", b"T", b" ", b"/", b"a"] * 20, pause=0.05))
        await second.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await second.answer()).status == 200
        assert await silent.closed(2)
        answer = await raw.answer()
        assert (answer.status, answer.envelope["status"]) == (408, "-1")
        assert await raw.closed()
        await second.send(b"GET /healthz HT")
        assert (await second.answer()).status == 408
        sending.cancel()


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_slow_body(database_url: str, framing: str) -> None:
    """A body has a deadline; the response is in the envelope and closes the connection."""
    async with limited(database_url, body_timeout=0.3) as (_, raw):
        await raw.send(post(REGISTER, framing))
        await raw.send(*[b"1\r\n{\r\n" if "chunked" in framing else b"{"] * 4, pause=0.05)
        answer = await raw.answer()
        assert (answer.status, answer.envelope) == (408, {"status": "-1", "res": None, "msg": "请求体发送过慢"})
        assert answer.headers["connection"] == "close"
        assert await raw.closed()


async def test_body_that_nobody_reads(database_url: str) -> None:
    """A route that reads no body responds all the same, and the body is not drained forever."""
    async with limited(database_url, body_timeout=0.3, max_upload_bytes=LIMIT) as (client, raw):
        head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        await raw.send(head + b"1\r\na\r\n0\r\n\r\n" + head)
        first, second = await raw.answer(), await raw.answer()
        assert (first.status, "connection" in first.headers) == (200, False)
        assert (second.status, second.headers["connection"]) == (200, "close")
        assert await raw.closed()
        async with connected(client) as endless:
            sending = asyncio.create_task(endless.send(head, *[b"%x\r\n" % 65536 + b"a" * 65536 + b"\r\n"] * 40))
            assert (await endless.answer()).headers["connection"] == "close"
            await sending


async def test_refused_before_its_body(database_url: str, tmp_path: Any) -> None:
    """An unauthenticated client is rejected before it sends a body, and the connection closes soon after."""
    async with limited(database_url, **_token_mode(tmp_path)) as (client, raw):
        for framing in ("Content-Length: 100", f"Content-Length: {LIMIT * 100}", "Transfer-Encoding: chunked"):
            async with connected(client) as silent, asyncio.timeout(20):
                await silent.send(post(REGISTER, framing))
                answer = await silent.answer()
                assert (answer.status, answer.headers["connection"]) == (401, "close")
        await raw.send(post(REGISTER, "Content-Length: 2") + b"{}")
        assert "connection" not in (await raw.answer()).headers
        # A byte now and then does not extend the deadline.
        await raw.send(post(REGISTER, "Content-Length: 100"))
        dripping = asyncio.create_task(raw.send(*[b"a"] * 100, pause=0.05))
        assert (await raw.answer()).status == 401
        assert await raw.closed(3)
        dripping.cancel()


async def test_refused_while_writing(database_url: str, tmp_path: Any) -> None:
    """A client that writes a whole large body before reading gets the error, not a connection reset."""
    async with limited(database_url, **_token_mode(tmp_path)) as (client, _):
        large = LIMIT * 30
        request = post(f"{IMAGES}/_upload", f"Content-Length: {large}") + b" " * large
        answer = await asyncio.to_thread(_exchange, client.base_url, request)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer


def _token_mode(folder: Path) -> dict[str, Any]:
    """Return the settings of token mode."""
    key = folder / "key.pem"
    key.write_bytes(pem(rsa_key()))
    return {**SETTINGS, "key_file": key}


def _exchange(url: httpx.URL, request: bytes) -> bytes:
    """Write a whole request, and only then read the response."""
    with socket.create_connection((url.host, url.port or 0), timeout=120) as connection:
        connection.sendall(request)
        return connection.recv(65536)


async def test_too_large(client: httpx.AsyncClient) -> None:
    """Declared and actual lengths over the limit are rejected alike, and the connection stays usable."""
    async with connected(client) as raw:
        body = b" " * (LIMIT + 1)
        await raw.send(post(REGISTER, f"Content-Length: {len(body)}") + body)
        declared = await raw.answer()
        await raw.send(post(REGISTER, "Transfer-Encoding: chunked"), b"%x\r\n" % len(body), body, b"\r\n0\r\n\r\n")
        chunked = await raw.answer()
        for answer in (declared, chunked):
            assert (answer.status, answer.envelope["status"]) == (413, "-413")
            assert "connection" not in answer.headers
        await raw.send(post(REGISTER, "Content-Length: 2") + b"{}")
        assert (await raw.answer()).status == 422


async def test_expecting_to_go_on(client: httpx.AsyncClient) -> None:
    """Expect: 100-continue: a body that is too large is rejected at once, a small one is asked for."""
    async with connected(client) as raw:
        await raw.send(post(REGISTER, f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"))
        answer = await raw.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
    async with connected(client) as raw:
        await raw.send(post(REGISTER, "Content-Length: 2", "Expect: 100-continue"))
        assert (await raw.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        await raw.send(b"{}")
        assert (await raw.answer()).status == 422


@pytest.mark.parametrize(
    "request_",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nA b\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_no_http(client: httpx.AsyncClient, request_: bytes) -> None:
    """Malformed or ambiguous HTTP is rejected in the envelope, too."""
    async with connected(client) as raw:
        await raw.send(request_)
        answer = await raw.answer()
        assert (answer.status, answer.envelope) == (400, {"status": "-1", "res": None, "msg": "不是有效的HTTP请求"})
        assert await raw.closed()


async def test_waiting_for_bodies_holds_no_connection(database_url: str) -> None:
    """Clients that send a byte now and then hold no database connections."""
    async with limited(database_url, pool_size=1, pool_timeout=10) as (client, _):
        slow = [await asyncio.open_connection(client.base_url.host, client.base_url.port) for _ in range(100)]
        for number, (_, writer) in enumerate(slow):
            path = (REGISTER, f"{IMAGES}/_search", f"{IMAGES}/_delete", f"{IMAGES}/_load")[number % 4]
            writer.write(post(path, "Content-Length: 100", f"Idempotency-Key: {number}") + b"{")
        await asyncio.sleep(0.1)
        answers = await asyncio.gather(*(client.get(f"{IMAGES}/_search") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        for _, writer in slow:
            writer.transport.abort()


async def _fill(client: httpx.AsyncClient) -> None:
    """Register more than the buffers between two sockets hold."""
    file = [minimal(f"algo/i{number}", algoDesc="长" * 4000) for number in range(_MANY)]
    assert (await upload(client, file)).status_code == 200


async def _stalled(client: httpx.AsyncClient) -> socket.socket:
    """Start an export and read only its first byte, which shows that it has begun."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.connect((client.base_url.host, client.base_url.port))
    found.sendall(post(f"{IMAGES}/_load", "Content-Length: 0"))
    await asyncio.to_thread(found.recv, 1)
    return found


async def _again(client: httpx.AsyncClient) -> httpx.Response:
    """Export as soon as a slot is free."""
    for _ in range(600):
        answer = await client.post(f"{IMAGES}/_load")
        if answer.status_code != 429:
            break
        await asyncio.sleep(0.1)
    return answer


async def test_reader_that_stalls(database_url: str) -> None:
    """A stalled export counts towards the limit, but is aborted in time: slot and connection are released."""
    async with limited(database_url, pool_size=2, max_exports=1, send_timeout=5) as (client, _):
        await _fill(client)
        with await _stalled(client):
            other = await client.post(f"{IMAGES}/_load")
            assert (other.status_code, other.json()["status"]) == (429, "-429")
            assert other.headers["retry-after"] == "1"
            assert (await client.get("/readyz")).status_code == 200
            other = await _again(client)
            assert (other.status_code, len(other.json()["res"])) == (200, _MANY)


async def test_reader_that_leaves(database_url: str) -> None:
    """An export ends when its client disconnects."""
    async with limited(database_url, max_exports=1) as (client, _):
        await _fill(client)
        with await _stalled(client):
            pass
        assert (await _again(client)).status_code == 200


async def test_slow_reader_who_reads(database_url: str) -> None:
    """A slow but steady reader gets the complete export."""
    async with limited(database_url, send_timeout=2) as (client, _):
        await _fill(client)
        async with client.stream("POST", f"{IMAGES}/_load") as answer:
            content = b""
            async for chunk in answer.aiter_raw(512 * 1024):
                content += chunk
                await asyncio.sleep(0.25)
        assert len(json.loads(content)["res"]) == _MANY


async def test_uploads_at_a_time(database_url: str, aside: asyncpg.Connection) -> None:
    """An upload over the limit gets -429, and succeeds once another has ended."""
    async with limited(database_url, max_uploads=1) as (client, _):
        async with aside.transaction():
            await aside.execute("LOCK TABLE image IN ACCESS EXCLUSIVE MODE")
            first = asyncio.create_task(upload(client, [minimal()]))
            async with asyncio.timeout(30):
                while not await aside.fetchval(_WAITING):  # noqa: ASYNC110 - another process has no event to wait for
                    await asyncio.sleep(0.05)
            refused = await upload(client, [minimal()])
        assert (refused.status_code, refused.json()["status"], refused.headers["retry-after"]) == (429, "-429", "1")
        assert (await first).status_code == 200
        assert (await upload(client, [minimal()])).status_code == 200


async def test_slow_uploads_keep_nobody_waiting(database_url: str) -> None:
    """Any number of incomplete uploads takes no slot from others."""
    async with limited(database_url, max_uploads=1) as (client, _), AsyncExitStack() as stack:
        head = post(f"{IMAGES}/_upload", "Content-Length: 999").replace(
            b"application/json", b"multipart/form-data; boundary=b"
        )
        for _ in range(20):
            slow = await stack.enter_async_context(connected(client))
            await slow.send(head + b"--b\r\n")
        assert (await upload(client, [minimal()])).status_code == 200


async def test_no_connection_in_time(database_url: str) -> None:
    """An exhausted pool yields -503, never an internal error."""
    async with limited(database_url, pool_size=1, pool_timeout=1, max_exports=1) as (client, _):
        await _fill(client)
        with await _stalled(client):
            answer = await client.get(f"{IMAGES}/_search")
            assert (answer.status_code, answer.json()["status"], answer.headers["retry-after"]) == (503, "-503", "1")
            assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("registry.example", True),
        ("Registry.Example:8000", True),
        ("a.b.example.org", True),
        ("[::1]:8000", True),
        ("example.org", False),
        ("registry.example.evil", False),
        ("evilexample.org", False),
        ("127.0.0.1", False),
        ("", False),
    ],
)
async def test_hosts(database_url: str, host: str, known: bool) -> None:
    """Only the configured hosts are accepted; probes may use the IP address."""
    names = frozenset({"registry.example", "*.example.org", "[::1]"})
    async with limited(database_url, allowed_hosts=names) as (client, raw):
        answer = await client.get(f"{IMAGES}/_search", headers={"host": host})
        assert answer.status_code == (200 if known else 400)
        assert answer.json()["status"] == ("0" if known else "-1")
        assert (await client.get("/healthz", headers={"host": host})).status_code == 200
        await raw.send(b"GET /algoPlatform HTTP/1.1\r\nHost: registry.example\r\nHost: registry.example\r\n\r\n")
        assert (await raw.answer()).status == 400


@pytest.mark.parametrize(
    ("trusted", "forwarded", "seen"),
    [
        ([], ["203.0.113.9"], "127.0.0.1"),
        (["127.0.0.0/8"], ["203.0.113.9"], "203.0.113.9"),
        (["127.0.0.0/8"], ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (["127.0.0.0/8"], ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        (["127.0.0.0/8"], ["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
        (["127.0.0.0/8", "10.0.0.0/8"], ["198.51.100.1, 203.0.113.9, 10.0.0.1"], "203.0.113.9"),
    ],
)
async def test_forwarded(database_url: str, trusted: list[str], forwarded: list[str], seen: str) -> None:
    """X-Forwarded-For counts only from trusted proxies, and only the part that they have added."""
    sent = [("x-forwarded-for", line) for line in forwarded]
    async with limited(database_url, trusted_proxies=frozenset(trusted)) as (client, _):
        with capture_logs() as lines:
            await client.get(f"{IMAGES}/_search", headers=sent)
    assert [line["client"] for line in lines if line["event"] == "request"] == [seen]


async def test_browsers(database_url: str, client: httpx.AsyncClient, tmp_path: Any) -> None:
    """CORS applies only if configured, and preflights need no token."""
    asking = {"origin": "https://ui.example", "access-control-request-method": "POST"}
    assert (await client.options(REGISTER, headers=asking)).status_code == 405
    assert "access-control-allow-origin" not in (await client.get(f"{IMAGES}/_search", headers=asking)).headers
    given = {**_token_mode(tmp_path), "cors_origins": frozenset({"https://ui.example"})}
    async with limited(database_url, **given) as (other, _):
        answer = await other.options(REGISTER, headers=asking)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://ui.example")
        answer = await other.get(f"{IMAGES}/_search", headers=asking)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "https://ui.example")
        answer = await other.options(REGISTER, headers=asking | {"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers


UI = "https://ui.example"


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://behind-a-gateway.example"}, True),
        ({"origin": "http://registry.example:8000"}, True),
        ({"sec-fetch-site": "cross-site", "origin": UI}, True),
        ({"origin": "HTTPS://UI.example"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site", "origin": "http://registry.example:8000"}, False),
        ({"sec-fetch-site": "anything"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "http://registry.example"}, False),
        ({"origin": "http://registry.example:8000.evil.example"}, False),
        ({"origin": "null"}, False),
    ],
)
async def test_pages_of_other_origins(database_url: str, headers: dict[str, str], passes: bool) -> None:
    """Cross-site writes of browsers are rejected, forms included; other clients send no such headers."""
    form = {"file": ("image_list.json", json.dumps([minimal("algo/uploaded")]))}
    names = frozenset({"registry.example", "127.0.0.1"})
    async with limited(database_url, allowed_hosts=names, cors_origins=frozenset({UI})) as (client, _):
        sent = {"host": "registry.example:8000", "cookie": "session=1"} | headers
        uploaded = await client.post(f"{IMAGES}/_upload", files=form, headers=sent)
        registered = await client.post(REGISTER, json=minimal("algo/registered"), headers=sent)
        for answer in (uploaded, registered):
            assert (answer.status_code, answer.json()["status"]) == ((200, "0") if passes else (403, "240"))
            assert answer.headers.get("access-control-allow-origin") == (UI if sent.get("origin") == UI else None)
        assert (await client.get(f"{IMAGES}/_search", headers=sent)).status_code == 200
        assert len(await records(client)) == (2 if passes else 0)


@pytest.mark.parametrize("accept", ["*/*", "application/problem+json"])
async def test_preflights_are_requests(database_url: str, accept: str) -> None:
    """A rejected preflight has the usual error format; its Host and body are checked."""
    given: dict[str, Any] = {"cors_origins": frozenset({UI}), "allowed_hosts": frozenset({"registry.example"})}
    asking = {"host": "registry.example", "origin": UI, "access-control-request-method": "POST", "accept": accept}
    failing = {"origin": "https://evil.example", "host": "evil.example", "access-control-request-method": "PUT"}
    async with limited(database_url, body_timeout=0.3, **given) as (client, raw):
        assert (await client.options(REGISTER, headers=asking)).status_code == 200
        for name, value in failing.items():
            answer = await client.options(REGISTER, headers=asking | {name: value})
            assert answer.status_code == 400
            assert answer.headers["content-type"] == ("application/json" if accept == "*/*" else accept)
            assert answer.json().get("code", answer.json()["status"]) == "-1"
            assert answer.headers.get("access-control-allow-origin") == (UI if "access" in name else None)
        lines = "".join(f"{name}: {value}\r\n" for name, value in asking.items())
        await raw.send(f"OPTIONS {REGISTER} HTTP/1.1\r\n{lines}Content-Length: 9\r\n\r\n".encode())
        assert (await raw.answer()).headers["connection"] == "close"
        assert await raw.closed()


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:8000", True),
        ("LOCALHOST", True),
        ("127.0.0.1:8000", True),
        ("127.1.2.3", True),
        ("[::1]:8000", True),
        ("evil.example:8000", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example:8000", False),
        ("127.evil.example", False),
        ("192.0.2.1:8000", False),
        ("", False),
    ],
)
async def test_names_that_lead_to_loopback(database_url: str, host: str, known: bool) -> None:
    """DNS rebinding gets no writes through; programs, proxies and known names may use any Host."""
    page = {"host": host, "origin": f"http://{host}"}
    async with limited(database_url) as (client, _):
        for number, signs in enumerate(({}, {"sec-fetch-site": "same-origin"})):
            answer = await client.post(REGISTER, json=minimal(f"algo/a{number}"), headers=page | signs)
            assert (answer.status_code, answer.json()["status"]) == ((200, "0") if known else (400, "-1"))
        assert (await client.post(REGISTER, json=minimal("algo/b"), headers={"host": host})).status_code == 200
        assert (await client.get(f"{IMAGES}/_search", headers=page)).status_code == 200


@pytest.mark.parametrize("given", [{"host": "0.0.0.0"}, {"allowed_hosts": frozenset({"registry.example"})}])
async def test_names_that_lead_elsewhere(database_url: str, given: dict[str, Any]) -> None:
    """Beyond loopback, and with allowed hosts configured, the rebinding check does not apply."""
    page = {"host": "registry.example", "origin": "https://registry.example"}
    async with limited(database_url, **given) as (client, _):
        assert (await client.post(REGISTER, json=minimal(), headers=page)).status_code == 200


async def test_compressed(client: httpx.AsyncClient) -> None:
    """A compressed body is rejected, never decompressed."""
    answer = await client.post(REGISTER, content=b"x", headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["status"]) == (415, "-415")
    assert await records(client) == []


def test_networks() -> None:
    """A proxy is an address or a network; "everyone" must be written out."""
    assert Settings(trusted_proxies="10.0.0.0/8, ::1").trusted_proxies == {"10.0.0.0/8", "::1"}
    for wrong in ("*", "proxy", "10.0.0.1/8"):
        with pytest.raises(ValueError, match="trusted_proxies"):
            Settings(trusted_proxies=wrong)
