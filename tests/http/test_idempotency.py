"""Idempotency records: sufficient for a repeat, bounded in size, and none for unauthorized callers."""

import json
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.images import IMAGES, minimal, register, upload
from tests.support.service import serving, settings_for
from tests.support.tokens import SETTINGS, bearer, jwk

# Bytes that one stored error may take in the database.
KEPT = 8192


async def rows(aside: asyncpg.Connection) -> int:
    """Return the number of stored responses."""
    return int(await aside.fetchval("SELECT count(*) FROM idempotency_key"))


async def test_readers_write_nothing(database_url: str, aside: asyncpg.Connection, tmp_path: Path) -> None:
    """Without write permission nothing is stored, whatever the body; nor is a forbidden write's error."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [jwk("first")]}))
    async with serving(settings_for(database_url, **SETTINGS, key_file=file)) as client:
        client.headers.update(bearer(authority=9, namespace="algo"))
        before = await aside.fetchval("SELECT pg_current_snapshot()::text")
        for number, body in enumerate([minimal(), {}, {f"x{position}": 1 for position in range(100)}]):
            for operation in ("_register", "_update", "_delete", f"{'a' * 32}/_restore"):
                key = {"idempotency-key": f"{operation}{number}"}
                answer = await client.post(f"{IMAGES}/{operation}", json=body, headers=key)
                assert (answer.status_code, answer.json()["status"]) == (403, "240")
        assert await rows(aside) == 0
        assert await aside.fetchval("SELECT pg_current_snapshot()::text") == before
        client.headers.update(bearer(authority=2, namespace="vse"))
        for _ in range(2):
            answer = await client.post(f"{IMAGES}/_register", json=minimal(), headers={"idempotency-key": "k"})
            assert (answer.status_code, answer.json()["status"]) == (403, "240")
        assert await rows(aside) == 0


@pytest.mark.parametrize("accept", ["application/json", "application/problem+json"])
async def test_refusals_are_kept_briefly(client: httpx.AsyncClient, aside: asyncpg.Connection, accept: str) -> None:
    """All faults of a file are reported once; a repeat gets the beginning, with the same status."""
    images = [minimal(f"algo/{number}", useableFlag="9" * 60, imagePorts="?" * 60) for number in range(400)]
    send: dict[str, Any] = {
        "files": {"file": ("f", json.dumps(images))},
        "headers": {"idempotency-key": "k", "accept": accept},
    }
    first, again = [await client.post(f"{IMAGES}/_upload", **send) for _ in range(2)]
    assert len(first.content) > 10 * KEPT
    assert len(again.content) < KEPT
    assert first.status_code == again.status_code == 422
    told, briefly = first.json(), again.json()
    assert list(told) == list(briefly)
    if "msg" in told:
        assert told["status"] == briefly["status"]
        assert told["msg"].startswith(briefly["msg"][:500])
    else:
        assert told["code"] == briefly["code"]
        assert told["errors"][:5] == briefly["errors"]
    assert await aside.fetchval("SELECT sum(pg_column_size(kept.*)) FROM idempotency_key AS kept") < KEPT


async def test_short_refusals_are_kept_whole(client: httpx.AsyncClient) -> None:
    """A short error is repeated byte for byte, even though its cause is gone."""
    body = minimal(dependencyServiceId="algo/none:1.0")
    first = await client.post(f"{IMAGES}/_register", json=body, headers={"idempotency-key": "k"})
    assert first.json()["status"] == "308"
    await register(client, "algo/none")
    again = await client.post(f"{IMAGES}/_register", json=body, headers={"idempotency-key": "k"})
    assert again.content == first.content


@pytest.mark.parametrize(("one", "other"), [("k", '"k"'), ('a"b\\c', r'"a\"b\\c"')])
async def test_quotes_are_none_of_the_key(client: httpx.AsyncClient, one: str, other: str) -> None:
    """A quoted key, as in the IETF draft, equals the same key without quotes."""
    answers = [
        await client.post(f"{IMAGES}/_register", json=minimal(), headers={"idempotency-key": key})
        for key in (one, other, one)
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["location"] for answer in answers}) == 1


@pytest.mark.parametrize("key", ['""', '"' + "k" * 256 + '"'])
async def test_what_is_no_key(client: httpx.AsyncClient, key: str) -> None:
    """An empty or overlong key is invalid, with or without quotes."""
    answer = await client.post(f"{IMAGES}/_register", json=minimal(), headers={"idempotency-key": key})
    assert (answer.status_code, answer.json()["status"]) == (422, "-1")


async def test_keys_are_no_lock_of_uploads(client: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """A key that equals the former name of the uploads' advisory lock does not take that lock."""
    async with aside.transaction():
        await aside.execute("SELECT pg_advisory_xact_lock(hashtextextended('algoplatform upload', 0))")
        assert (await upload(client, [minimal("algo/a")])).status_code == 200
        key = {"idempotency-key": "algoplatform"}
        answer = await client.post(f"{IMAGES}/_register", json=minimal("algo/b"), headers=key)
        assert answer.status_code == 200
