"""Request ids, the log, and unhandled exceptions."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from algoplatform.api.http.streams import BrokenOff
from algoplatform.api.middleware.observability import Observability
from algoplatform.console.mount import app_from_environment
from tests.support.images import IMAGES, minimal, register, upload
from tests.support.logs import Log, logged
from tests.support.postgres import execute
from tests.support.raw import connected
from tests.support.service import serving, settings_for


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 64])
async def test_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    """A valid request id is returned."""
    answer = await client.get("/healthz", headers={"x-request-id": given})
    assert answer.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a\tb", 'a"b', "é".encode(), "../x"])
async def test_request_id_is_replaced(client: httpx.AsyncClient, given: Any) -> None:
    """A missing one, or one that is not safe in every place, is replaced."""
    headers = {} if given is None else {"x-request-id": given}
    found = {(await client.get("/none", headers=headers)).headers["x-request-id"] for _ in range(2)}
    assert len(found) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in found)


async def test_one_line_a_request(log: Log, client: httpx.AsyncClient) -> None:
    """Each request is one line: method, route, status, duration and request id."""
    await client.get(f"{IMAGES}/_search?searchCondition=hunter2", headers={"x-request-id": "r1"})
    await client.delete("/nowhere/hunter2", headers={"x-request-id": "r2"})
    first, second = log.lines("request")
    route = f"{IMAGES}/_search"
    assert (first["method"], first["route"], first["status"], first["request_id"]) == ("GET", route, 200, "r1")
    assert (second["method"], second["route"], second["status"], second["request_id"]) == (
        "DELETE",
        "unmatched",
        404,
        "r2",
    )
    assert first["duration_ms"] > 0
    assert {"time", "level", "client"} <= first.keys()


async def test_status_before_it_is_made_200(log: Log, database_url: str) -> None:
    """With always-200, log and metrics keep the original status, so that alerts on errors fire."""
    async with serving(settings_for(database_url, http_status="always-200")) as client:
        assert (await client.get(f"{IMAGES}/{'0' * 32}")).status_code == 200
        assert (await client.get(f"{IMAGES}/_search?page=0")).status_code == 200
        execute(database_url, "ALTER TABLE image RENAME COLUMN record TO hidden")
        assert (await client.get(f"{IMAGES}/_search")).status_code == 200
        figures = (await client.get("/metrics")).text
    assert [line["status"] for line in log.lines("request")][:3] == [404, 422, 500]
    for route, status in (("{imageId:imageId}", 404), ("_search", 422), ("_search", 500)):
        assert f'_count{{method="GET",route="{IMAGES}/{route}",status="{status}"}}' in figures


async def test_no_value_and_no_secret(log: Log, database_url: str) -> None:
    """Whatever fails, no line has a value of a record, a password or a header, and each line is JSON."""
    marker = "hunter2"
    dsn = database_url.replace("algoplatform@", f"algoplatform:{marker}@")
    record = minimal("algo/hunter2", factory=marker, algoDesc=f"{marker}\n\t", env=f"PASSWORD:{marker}")
    async with serving(settings_for(dsn)) as client:
        headers = {"authorization": f"Bearer {marker}", "cookie": marker, "idempotency-key": marker}
        assert (await client.post(f"{IMAGES}/_register", json=record, headers=headers)).status_code == 200
        assert (await client.post(f"{IMAGES}/_register", json=record)).status_code == 409
        await client.post(f"{IMAGES}/_register", content=b'{"' + marker.encode() + b'":\xff}')
        await client.get(f"{IMAGES}/{marker}?x={marker}")
        await upload(client, [record, {"imageName": marker}])
        await asyncio.to_thread(execute, database_url, "ALTER TABLE image ADD CHECK (factory <> 'hunter2') NOT VALID")
        broken = await client.post(f"{IMAGES}/_register", json=record | {"imageTag": "2"})
        assert broken.json()["status"] == "-500"
        await asyncio.to_thread(execute, database_url, "DROP TABLE image CASCADE")
        assert (await upload(client, [record])).json()["status"] == "-500"
    async with serving(settings_for(dsn.replace("?", "x?"))) as client:
        assert (await client.post(f"{IMAGES}/_register", json=record)).json()["status"] == "-503"
    assert log.lines("unhandled_error")
    assert log.lines("database_unavailable")
    assert marker not in log.text


async def test_unhandled_error(log: Log, client: httpx.AsyncClient, database_url: str) -> None:
    """An unhandled exception: an envelope without internals, a location in the log, a usable connection."""
    image_id = await register(client)
    await asyncio.to_thread(execute, database_url, "ALTER TABLE image RENAME TO elsewhere")
    broken = await client.get(f"{IMAGES}/_search", headers={"x-request-id": "r1"})
    assert (broken.status_code, broken.headers["x-request-id"]) == (500, "r1")
    assert broken.json() == {"status": "-500", "res": None, "msg": "服务内部错误，请凭X-Request-Id联系管理员"}
    problem = await client.post(f"{IMAGES}/_search", json={}, headers={"accept": "application/problem+json"})
    assert (problem.headers["content-type"], problem.json()["code"]) == ("application/problem+json", "-500")
    # Paths with parameters and pages take the framework's router.
    routed = await client.get(f"{IMAGES}/{image_id}")
    assert (routed.status_code, routed.json()) == (500, broken.json())
    page = await client.get("/console/images")
    assert (page.status_code, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "服务内部错误" in page.text
    await asyncio.to_thread(execute, database_url, "ALTER TABLE elsewhere RENAME TO image")
    again = await client.get(f"{IMAGES}/_search")
    assert again.status_code == 200
    # One connection served all of them.
    answers = (broken, problem, routed, page, again)
    streams = [answer.extensions["network_stream"].get_extra_info("client_addr") for answer in answers]
    assert len(set(streams)) == 1
    line = log.lines("unhandled_error")[0]
    assert (line["request_id"], line["error"].partition(" ")[0]) == ("r1", "UndefinedTableError")
    assert any("search.py" in place for place in line["where"])


async def test_answer_that_cannot_be_finished(log: Log) -> None:
    """An exception after the first byte breaks the response off: nothing is appended to it."""
    sent: list[Message] = []

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ExceptionGroup("hunter2", [ValueError("hunter2")]) from KeyError("hunter2")

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None}
    app = Observability(broken)
    with pytest.raises(BrokenOff) as raised:
        await app(scope, None, send)  # type: ignore[arg-type]  # nothing is received
    assert raised.value.__suppress_context__
    assert len(sent) == 1
    assert log.lines("unhandled_error")[0]["error"] == "ExceptionGroup[ValueError] from KeyError"
    assert log.lines("request")[0]["client"] is None


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"a" * 40_000, 431),
        (b"GET / HTTP/1.1\r\nHo", 408),
    ],
)
async def test_what_is_no_request(database_url: str, log: Log, request_: bytes, status: int) -> None:
    """Requests rejected before routing are logged and counted, and their id is returned, too."""
    async with serving(settings_for(database_url, header_timeout=1)) as client, connected(client) as raw:
        await raw.send(request_)
        answer = await raw.answer()
        figures = (await client.get("/metrics")).text
    assert (answer.status, answer.envelope["status"]) == (status, "-1")
    [line] = [line for line in log.lines("request") if line["route"] == "unmatched"]
    assert (line["status"], line["method"], line["client"]) == (status, "other", "127.0.0.1")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (answer.headers["cache-control"], answer.headers["vary"]) == ("no-store", "Accept")
    assert re.search(rf'seconds_count{{method="other",route="unmatched",status="{status}"}} [1-9]', figures)


async def test_client_that_leaves(log: Log, client: httpx.AsyncClient) -> None:
    """A client that disconnects during its request is no error."""
    port = client.base_url.port
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {IMAGES}/_register HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{".encode())
    await writer.drain()
    await asyncio.sleep(0.5)
    writer.close()
    async with asyncio.timeout(60):
        while not log.lines("request"):  # noqa: ASYNC110 - the log has no event to wait for
            await asyncio.sleep(0.01)
    assert (await client.get("/healthz")).status_code == 200
    assert not log.lines("unhandled_error")


def test_level_and_libraries() -> None:
    """Libraries log in the same format without their chatter, and nothing below the level is written."""
    import logging

    import structlog

    with logged("warning") as log:
        structlog.get_logger().info("quiet")
        logging.getLogger("httpx").info("http://u:hunter2@x")
        try:
            raise ValueError("hunter2")
        except ValueError:
            logging.getLogger("uvicorn.error").exception("broken")
            structlog.get_logger().exception("ours", odd="\ud800")
        structlog.get_logger().error("none", exc_info=None)
    library, ours, _ = log.lines()
    assert (library["event"], library["logger"], library["error"]) == ("broken", "uvicorn.error", "ValueError")
    assert library["where"][0].startswith("test_observability.py:")
    assert (ours["error"], ours["odd"]) == ("'ValueError'", r"'\ud800'")
    assert "hunter2" not in log.text


async def test_from_the_environment(log: Log, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """A worker builds its application from the environment alone, including the root path."""
    monkeypatch.setenv("ALGOPLATFORM_DATABASE_URL", database_url)
    monkeypatch.setenv("ALGOPLATFORM_ROOT_PATH", "/registry")
    app = app_from_environment()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        for path in ("/", "/registry/"):
            assert (await client.get(path)).headers["location"] == "/registry/console/images"
        assert (await client.get("/openapi.json")).json()["servers"] == [{"url": "/registry"}]
