"""Cache headers: no response may be shared, and responses with an ETag must be revalidated."""

import json
from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, minimal, register, upload
from tests.support.raw import connected
from tests.support.service import serving, settings_for
from tests.support.tokens import SETTINGS, pem, rsa_key

PROBLEM = {"accept": "application/problem+json"}


def told(answer: httpx.Response) -> tuple[str, str]:
    """Return the cache headers of a response."""
    return answer.headers["cache-control"], answer.headers["vary"]


async def test_every_answer(client: httpx.AsyncClient) -> None:
    """Responses with an ETag must be revalidated, all others must not be stored; all vary by Accept."""
    image_id = await register(client)
    one = f"{IMAGES}/{image_id}"
    tag = (await client.get(one)).headers["etag"]
    tagged = [
        await client.get(one),
        await client.head(one),
        await client.get(one, headers={"if-none-match": tag}),
        await client.post(f"{IMAGES}/_register", json=minimal(tag="2")),
        await client.post(f"{IMAGES}/_update", json=minimal(imageId=image_id)),
    ]
    assert [answer.status_code for answer in tagged] == [200, 200, 304, 200, 200]
    assert {told(answer) for answer in tagged} == {("no-cache", "Accept")}
    others = [
        await client.get(f"{IMAGES}/_search"),
        await client.post(f"{IMAGES}/_load"),
        await client.get(f"{one}/history"),
        await client.get(f"{IMAGES}/{'0' * 32}"),
        await client.get(f"{IMAGES}/{'0' * 32}", headers=PROBLEM),
        await client.post(f"{IMAGES}/_register", content=b"{", headers={"content-type": "application/json"}),
        await client.get("/algoPlatform/nothing"),
        await client.put(f"{IMAGES}/_search"),
        await client.post(f"{IMAGES}/_register", json={}, headers={"origin": "https://evil.example"}),
        await client.get("/healthz"),
        await client.get("/metrics"),
    ]
    assert {told(answer) for answer in others} == {("no-store", "Accept")}


async def test_streams(client: httpx.AsyncClient) -> None:
    """Streamed responses, whose outcome is unknown at the start, have the same headers."""
    await upload(client, [minimal(f"algo/i{number}") for number in range(1100)])
    for answer in (await client.get(f"{IMAGES}/_search"), await client.post(f"{IMAGES}/_load")):
        assert answer.headers["transfer-encoding"] == "chunked"
        assert told(answer) == ("no-store", "Accept")


@pytest.mark.parametrize("http_status", ["strict", "always-200"])
async def test_refused_tokens(database_url: str, tmp_path: Any, http_status: Any) -> None:
    """Neither an error nor a success may be served by a cache to another client."""
    key = tmp_path / "key.pem"
    key.write_bytes(pem(rsa_key()))
    settings = settings_for(database_url, **SETTINGS, key_file=key, http_status=http_status)
    async with serving(settings) as client:
        answer = await client.get(f"{IMAGES}/_search")
        assert (answer.json()["status"], told(answer)) == ("-401", ("no-store", "Accept"))


async def test_beside_cors(database_url: str) -> None:
    """With CORS, responses vary by Origin as well."""
    async with serving(settings_for(database_url, cors_origins=frozenset({"https://ui.example"}))) as client:
        answer = await client.get(f"{IMAGES}/_search", headers={"origin": "https://ui.example"})
        assert {item.strip() for item in answer.headers["vary"].split(",")} == {"Accept", "Origin"}


async def test_pages_are_everybodys(client: httpx.AsyncClient) -> None:
    """The documentation may be stored by any cache."""
    for path in ("/docs", "/redoc", "/openapi.json", "/docs/assets/swagger-ui.css"):
        assert "no-store" not in (await client.get(path)).headers.get("cache-control", "")


async def test_what_is_no_request(client: httpx.AsyncClient) -> None:
    """Errors for malformed requests must not be stored either."""
    async with connected(client) as raw:
        await raw.send(b"rubbish\r\n\r\n")
        answer = await raw.answer()
        assert (answer.status, answer.headers["cache-control"], json.loads(answer.body)["status"]) == (
            400,
            "no-store",
            "-1",
        )
