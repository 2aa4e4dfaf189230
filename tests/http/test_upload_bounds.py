"""Limits on an upload: number of faults, duration, and the client's connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from algoplatform.catalogue import uploads
from algoplatform.domain.record.file import FORMS
from algoplatform.storage.upload.staging import UPLOAD_LOCK
from tests.support.images import IMAGES, minimal, records, register, upload
from tests.support.service import serving, settings_for

_SECONDS = 30


@asynccontextmanager
async def upload_lock(aside: asyncpg.Connection) -> AsyncIterator[None]:
    """Make every upload wait, as if behind another one."""
    async with aside.transaction():
        await aside.execute(f"SELECT pg_advisory_xact_lock({UPLOAD_LOCK})")
        yield


async def until(aside: asyncpg.Connection, condition: str) -> None:
    """Wait until the other sessions satisfy a condition."""
    query = f"SELECT {condition} FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with asyncio.timeout(_SECONDS):
        while True:
            # Within a transaction, PostgreSQL would return its first snapshot of the statistics.
            await aside.execute("SELECT pg_stat_clear_snapshot()")
            if await aside.fetchval(query):
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("record", "faults"),
    [
        ({}, 5),
        ({"\ud800" * 10: 1, **{f"k{number}": 1 for number in range(5000)}}, 5006),
        (minimal(imagePorts="," * 4000), 21),
        ([], 1),
    ],
)
async def test_a_file_of_very_many_faults(
    client: httpx.AsyncClient, aside: asyncpg.Connection, record: Any, faults: int
) -> None:
    """Reading stops after ten thousand faults: the first thousand are listed, and that there are more.

    Nothing is written.
    """
    endless = 40_000 // faults + 300
    # The malformed end of the file is never read.
    content = b"[" + b",".join([json.dumps(record).encode()] * endless) + b", nonsense"
    answer = await upload(client, content)
    assert (answer.status_code, answer.json()["status"]) == (422, "-1")
    assert answer.json()["msg"].partition("……")[2].startswith("至少还有")
    problem = await client.post(
        f"{IMAGES}/_upload", files={"file": content}, headers={"accept": "application/problem+json"}
    )
    told = int(problem.json()["detail"].removeprefix("文件中至少有").partition("处")[0])
    assert 10_000 < told <= 10_000 + faults
    assert await records(client) == []


async def test_a_thousand_honest_faults(client: httpx.AsyncClient) -> None:
    """A file with exactly a thousand faults has all of them listed, in order."""
    content = [minimal(f"algo/n{number}", pvcSize="x") for number in range(1000)]
    message = (await upload(client, content)).json()["msg"]
    assert message == "".join(f"algo/n{number}1.0:pvcSize须为整数" for number in range(1000))


async def test_twenty_faults_of_a_field_and_more(client: httpx.AsyncClient) -> None:
    """If a field has more faults than are listed, the total is a lower bound."""
    content = [
        minimal("algo/a", imagePorts="," * 30),
        *(minimal(f"algo/n{number}", pics="x") for number in range(1000)),
    ]
    message = (await upload(client, content)).json()["msg"]
    assert "algo/a1.0:imagePorts第20项为空algo/a1.0:imagePorts还有更多错误，只列出前20处algo/n01.0:pics" in message
    assert message.endswith("……至少还有21处错误未列出")


async def test_what_other_operations_answer(client: httpx.AsyncClient) -> None:
    """A record, a search's response and an image's response are no valid file; one message says so."""
    image_id = await register(client)
    found = (await client.get(f"{IMAGES}/_search")).content
    one = (await client.get(f"{IMAGES}/{image_id}")).content
    for content in (found, one, json.dumps(minimal()).encode(), json.dumps(json.loads(found)["res"]).encode()):
        answer = await upload(client, content)
        assert (answer.status_code, answer.json()["status"]) == (400, "-1")
        assert answer.json()["msg"].endswith(FORMS)
        assert answer.json()["msg"].count("；") == 1


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "k"}])
async def test_clients_that_hang_up(
    client: httpx.AsyncClient, aside: asyncpg.Connection, headers: dict[str, str]
) -> None:
    """An upload ends when its client disconnects: slot and connection are released, nothing is written."""
    form = {"file": json.dumps([minimal()])}
    async with upload_lock(aside):
        for _ in range(6):
            with pytest.raises(httpx.ReadTimeout):
                await client.post(f"{IMAGES}/_upload", files=form, headers=headers, timeout=httpx.Timeout(60, read=0.5))
            await until(aside, "coalesce(bool_and(state = 'idle'), true)")
    assert await records(client) == []
    answer = await client.post(f"{IMAGES}/_upload", files=form, headers=headers)
    assert answer.json()["res"]["created"] == 1


@pytest.mark.parametrize(("pool_size", "most"), [(4, 1), (6, 2), (20, 4)])
async def test_uploads_leave_a_connection_to_single_writes(
    database_url: str, aside: asyncpg.Connection, pool_size: int, most: int
) -> None:
    """Waiting uploads never take all connections: even in a small pool an update still gets one."""
    async with serving(settings_for(database_url, pool_size=pool_size, pool_timeout=_SECONDS)) as client:
        image_id = await register(client)
        async with upload_lock(aside):
            waiting = [asyncio.create_task(upload(client, [minimal(tag=f"u{number}")])) for number in range(6)]
            await until(aside, f"count(*) FILTER (WHERE wait_event = 'advisory') = {most}")
            update = minimal(imageId=image_id, factory="新")
            assert (await client.post(f"{IMAGES}/_update", json=update, timeout=_SECONDS)).status_code == 200
        statuses = [(await answer).status_code for answer in waiting]
    assert sorted(statuses) == [200] * most + [429] * (6 - most)


async def test_clients_that_stay(client: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """A client that stays connected gets its response, however many uploads came before."""
    async with upload_lock(aside):
        waiting = asyncio.create_task(upload(client, [minimal()]))
        await until(aside, "bool_or(wait_event = 'advisory')")
    assert (await waiting).json()["res"]["created"] == 1


async def test_an_import_takes_no_longer_than_its_time(
    client: httpx.AsyncClient, aside: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload that takes far longer than its size explains gets -503, and leaves nothing behind."""
    monkeypatch.setattr(uploads, "DEADLINE_SECONDS", 0.5)
    async with upload_lock(aside):
        answer = await upload(client, [minimal()])
        assert (answer.status_code, answer.json()["status"]) == (503, "-503")
        await until(aside, "coalesce(bool_and(state = 'idle'), true)")
    monkeypatch.undo()
    assert (await upload(client, [minimal()])).json()["res"]["created"] == 1
