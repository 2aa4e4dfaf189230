"""Streamed responses last as long as the client reads, and break off visibly."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.requests import ClientDisconnect

from algoplatform.api.http.streams import StreamedRecords
from algoplatform.catalogue.search import Write
from tests.support.images import IMAGES
from tests.support.logs import Log
from tests.support.postgres import execute
from tests.support.service import serving, settings_for

# Images whose records are 4 KiB each, far more than socket buffers hold.
FILL = """
    INSERT INTO image (image_id, image_name, image_tag, factory, algo_type, search, record)
    SELECT id, name, '1.0', '易华录', '1', name || ':1.0',
           '{"imageId":"' || replace(id::text, '-', '') || '","imageName":"' || name || '","imageTag":"1.0","algoDesc":"'
           || repeat('x', 4000) || '"}'
    FROM (SELECT gen_random_uuid() AS id, 'algo/n' || lpad(n::text, 5, '0') AS name FROM generate_series(1, %d) AS n) AS made
"""
NAMES = [f"algo/n{number:05}" for number in range(1, 6001)]


async def slowly(answer: httpx.Response, seconds: float) -> bytes:
    """Continue reading after a pause in which the socket buffers fill up."""
    chunks = answer.aiter_bytes()
    first = await anext(chunks)
    await asyncio.sleep(seconds)
    return first + b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize(
    ("path", "conditions"),
    [
        ("_load", {}),
        ("_load", {"factory": "易华录"}),
        ("_load", {"searchCondition": "algo/n"}),
        ("_search", {"factory": "易华录", "searchCondition": "n0"}),
    ],
)
async def test_a_stream_lasts_as_long_as_it_is_read(database_url: str, path: str, conditions: dict[str, str]) -> None:
    """A slow reader may exceed the statement timeout, whatever the search."""
    execute(database_url, FILL % len(NAMES))
    async with (
        serving(settings_for(database_url, statement_timeout=1)) as client,
        client.stream("POST", f"{IMAGES}/{path}", json=conditions) as answer,
    ):
        content = await slowly(answer, 3)
    found = json.loads(content)["res"]
    images = found["data"] if path == "_search" else found.values()
    assert [image["imageName"] for image in images] == NAMES


async def test_a_stream_that_breaks_off_is_told(database_url: str, aside: asyncpg.Connection, log: Log) -> None:
    """If PostgreSQL aborts a stream, the client sees no end of the response, and the log no success."""
    execute(database_url, FILL % len(NAMES))
    async with serving(settings_for(database_url)) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("POST", f"{IMAGES}/_load", json={"factory": "易华录"}) as answer:
                assert answer.status_code == 200
                chunks = answer.aiter_bytes()
                await anext(chunks)
                await aside.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'COPY%'"
                )
                async for _ in chunks:
                    pass
        assert (await client.get(f"{IMAGES}/_search", params={"pageSize": 1})).status_code == 200
    [told] = [line for line in log.lines("request") if line["route"].endswith("/_load")]
    assert told["status"] == 500


async def test_a_stream_without_records_ends_with_its_client() -> None:
    """Empty parts are not sent, but let a stream without output notice that its client has disconnected."""
    sent: list[object] = []
    written = asyncio.Event()

    async def stream(write: Write) -> int:
        while True:
            await write(b"")
            written.set()
            await asyncio.sleep(0)

    async def receive() -> dict[str, str]:
        await written.wait()
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    with pytest.raises(ClientDisconnect):
        async with asyncio.timeout(60):
            await StreamedRecords(stream, (b"[", lambda _: b"]"))({}, receive, send)
    assert sent == []


async def test_a_stream_of_empty_parts_is_whole() -> None:
    """If all parts were empty, the response consists of its head and its tail."""
    sent: list[MutableMapping[str, Any]] = []

    async def stream(write: Write) -> int:
        await write(b"")
        return 0

    async def receive() -> dict[str, str]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await StreamedRecords(stream, (b"[", lambda _: b"]"))({}, receive, send)
    assert [message.get("body") for message in sent] == [None, b"[]"]
    assert sent[-1]["more_body"] is False
