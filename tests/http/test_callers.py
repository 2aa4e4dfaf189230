"""Callers in gateway mode: exact names or an error, and the limits of their permissions."""

from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, minimal, records, register
from tests.support.service import serving, settings_for

GATEWAY: dict[str, Any] = {"authority_header": "X-Authority", "namespaces_header": "X-Namespaces"}


async def write(client: httpx.AsyncClient, *headers: tuple[str, bytes], name: str = "algo/a") -> tuple[int, str]:
    """Register; return the HTTP status and the envelope's."""
    sent = [(key.encode(), value) for key, value in headers]
    answer = await client.post(f"{IMAGES}/_register", json=minimal(name), headers=sent)
    return answer.status_code, answer.json()["status"]


@pytest.mark.parametrize(
    "name",
    [
        "ali\u00adce".encode(),
        "alice\u200b".encode(),
        "\u202eecila".encode(),
        "张三".encode("gbk"),
        "李四".encode("gbk"),
        b"\xff",
        b"\xed\xa0\x80",
        b"a\tb",
        "a\u00a0b".encode(),
        "张".encode() * 256,
        b"c" * 256,
        b"CN=" + b"x" * 300 + b",OU=a",
    ],
)
async def test_names_that_two_could_have(database_url: str, name: bytes) -> None:
    """Unprintable, non-UTF-8 or overlong names are rejected: altering one could yield another caller's."""
    async with serving(settings_for(database_url, actor_header="X-User")) as client:
        assert await write(client, ("x-user", name)) == (400, "-1")
        assert await records(client) == []


@pytest.mark.parametrize(
    ("name", "actor"),
    [
        ("alice", "alice"),
        ("O'Brien, 张三 (ops)", "O'Brien, 张三 (ops)"),
        ("张" * 255, "张" * 255),
        ("CN=ops,OU=视频,O=x y", "CN=ops,OU=视频,O=x y"),
        ("", None),
        (None, None),
    ],
)
async def test_names(database_url: str, name: str | None, actor: str | None) -> None:
    """The history names the caller exactly as the gateway did."""
    async with serving(settings_for(database_url, actor_header="X-User")) as client:
        given = [] if name is None else [("x-user", name.encode())]
        assert await write(client, *given) == (200, "0")
        [record] = await records(client)
        history = (await client.get(f"{IMAGES}/{record['imageId']}/history")).json()["res"]["data"]
        assert history[0]["actor"] == actor


@pytest.mark.parametrize(
    ("headers", "name", "status"),
    [
        ({"x-authority": "1"}, "algo/a", (200, "0")),
        ({"x-authority": "1"}, "test1.0", (200, "0")),
        ({"x-authority": "3", "x-namespaces": "algo"}, "algo/a", (200, "0")),
        ({"x-authority": "3", "x-namespaces": "vse , algo,"}, "algo/a", (200, "0")),
        ({"x-authority": "3", "x-namespaces": "视频"}, "algo/a", (403, "240")),
        ({"x-authority": "3", "x-namespaces": "vse"}, "algo/a", (403, "240")),
        ({"x-authority": "3", "x-namespaces": "alg"}, "algo/a", (403, "240")),
        ({"x-authority": "3", "x-namespaces": "algo"}, "test1.0", (403, "240")),
        ({"x-authority": "3"}, "algo/a", (403, "240")),
        ({"x-authority": "3", "x-namespaces": ""}, "algo/a", (403, "240")),
        ({"x-authority": "9", "x-namespaces": "algo"}, "algo/a", (403, "240")),
        ({"x-authority": "", "x-namespaces": "algo"}, "algo/a", (403, "240")),
        ({"x-namespaces": "algo"}, "algo/a", (403, "240")),
        ({}, "algo/a", (403, "240")),
        ({"x-authority": "one"}, "algo/a", (400, "-1")),
        ({"x-authority": "-1"}, "algo/a", (400, "-1")),
        ({"x-authority": "1.0"}, "algo/a", (400, "-1")),
        ({"x-authority": "1, 3"}, "algo/a", (400, "-1")),
        ({"x-authority": "１"}, "algo/a", (400, "-1")),
        ({"x-authority": "9" * 5000}, "algo/a", (400, "-1")),
        ({"x-authority": "3", "x-namespaces": "al\u200bgo"}, "algo/a", (400, "-1")),
    ],
)
async def test_headers_that_bound(
    database_url: str, headers: dict[str, str], name: str, status: tuple[int, str]
) -> None:
    """The gateway's authority and namespaces act like a token's claims: without them no writes, but reads."""
    async with serving(settings_for(database_url, **GATEWAY)) as client:
        assert await write(client, *((key, value.encode()) for key, value in headers.items()), name=name) == status
        assert len(await records(client)) == (status[0] == 200)


@pytest.mark.parametrize("header", ["x-authority", "x-namespaces"])
async def test_headers_given_twice(database_url: str, header: str) -> None:
    """A repeated header is rejected: one is the client's own, and there is no way to tell which."""
    async with serving(settings_for(database_url, **GATEWAY)) as client:
        given = [("x-authority", b"1"), ("x-namespaces", b"algo"), (header, b"1")]
        assert await write(client, *given) == (422, "-1")


async def test_one_header_alone(database_url: str) -> None:
    """Either header alone limits the caller, even if the client sends the other under its usual name."""
    async with serving(settings_for(database_url, namespaces_header="X-Namespaces")) as client:
        assert await write(client, ("x-namespaces", b"algo"), ("x-authority", b"1")) == (403, "240")
    async with serving(settings_for(database_url, authority_header="X-Authority")) as client:
        assert await write(client, ("x-authority", b"3"), ("x-namespaces", b"algo")) == (403, "240")
        assert await write(client, ("x-authority", b"1")) == (200, "0")


async def test_every_write_is_bounded(database_url: str) -> None:
    """No operation exceeds what the headers permit; a userResult may claim less, never more."""
    async with serving(settings_for(database_url, **GATEWAY)) as client:
        client.headers["x-authority"] = "1"
        image_id = await register(client, "algo/a")
        client.headers.update({"x-authority": "3", "x-namespaces": "vse"})
        claims = [{"authority": 1, "namespace": ""}, {"authority": 3, "namespace": "algo"}]
        answers = [
            await client.post(f"{IMAGES}/_update", json=minimal(imageId=image_id)),
            await client.post(f"{IMAGES}/_upload", files={"file": b'[{"imageName":"algo/b","imageTag":"1"}]'}),
            *[
                await client.post(f"{IMAGES}/_delete", json={"imageId": image_id, "userResult": claim})
                for claim in claims
            ],
        ]
        assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(403, "240")] * 4
        client.headers["x-namespaces"] = "vse,algo"
        deleted = await client.post(f"{IMAGES}/_delete", json={"imageId": image_id, "userResult": claims[1]})
        assert deleted.status_code == 200
