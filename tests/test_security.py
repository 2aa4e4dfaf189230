"""OWASP's API Security Top 10 (2023), tested on the running service; SECURITY.md names every test."""

import json
import re
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from algoplatform.api.app import create_app
from algoplatform.settings import Settings, SettingsError
from tests.support.images import IMAGES, delete, minimal, records, register, upload
from tests.support.markdown import ROOT
from tests.support.raw import connected, post
from tests.support.service import serving, settings_for
from tests.support.tokens import SETTINGS, KeyServer, bearer, claims, ec_key, jwk, key_server, token

MEMBER: dict[str, Any] = {"authority": 3, "namespace": "algo"}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Token mode, with a key in a file."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [jwk("first")]}))
    return settings_for(database_url, **SETTINGS, key_file=file)


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends a platform administrator's token unless a request has another."""
    async with serving(settings) as client:
        client.headers.update(bearer())
        yield client


def refused(answer: httpx.Response) -> bool:
    """Return whether a response says that the caller lacks permission."""
    return (answer.status_code, answer.json()["status"]) == (403, "240")


async def test_api1_broken_object_level_authorization(service: httpx.AsyncClient) -> None:
    """The id of another namespace's image gives no way to change, delete, restore or overwrite it."""
    image_id = await register(service, "vse/a")
    gone = await register(service, "vse/gone")
    assert (await delete(service, gone)).status_code == 200
    before = await records(service)
    service.headers.update(bearer(**MEMBER))
    own = {"imageId": image_id, "userResult": {"authority": 3, "namespace": "algo"}}
    assert refused(await service.post(f"{IMAGES}/_update", json=minimal("vse/a", imageId=image_id, factory="mine")))
    assert refused(await service.post(f"{IMAGES}/_delete", json=own))
    assert refused(await upload(service, [minimal("vse/a", imageId=image_id, factory="mine")]))
    assert refused(await service.post(f"{IMAGES}/{image_id}/_restore", json={"version": 1}))
    assert refused(await service.post(f"{IMAGES}/{gone}/_restore"))
    assert await records(service) == before


async def test_api2_broken_authentication(service: httpx.AsyncClient) -> None:
    """A token that is missing, expired, unsigned, from another issuer or for another audience is rejected."""
    unsigned = jwt.encode(claims(), None, algorithm="none")  # type: ignore[arg-type]  # no key is the point here
    foreign = jwt.encode(claims(), ec_key("other"), "ES256", {"kid": "first"})
    for text in ("x", unsigned, foreign, token(exp=int(time.time()) - 60), token(aud="other"), token(iss="other")):
        for method, path in (("GET", "_search"), ("POST", "_load"), ("POST", "_register")):
            shown = {"authorization": f"Bearer {text}"}
            answer = await service.request(method, f"{IMAGES}/{path}", headers=shown)
            assert (answer.status_code, answer.json()["status"]) == (401, "-401"), (text, path)


async def test_api3_broken_object_property_level_authorization(service: httpx.AsyncClient) -> None:
    """Internal fields cannot be set from outside, and are not shown: only the record's fields are."""
    forged = {"imageId": "0" * 32, "deleteFlag": "1", "version": 9, "actor": "root", "namespace": "vse", "live": False}
    for name, value in forged.items():
        answer = await service.post(f"{IMAGES}/_register", json=minimal() | {name: value})
        assert (answer.status_code, answer.json()["res"]) == (422, None), name
    await register(service)
    (record,) = await records(service)
    document = (ROOT / "tests/data/api-document.md").read_text()
    assert len(record) == 29
    assert all(f'"{name}":' in document for name in record)


async def test_api4_unrestricted_resource_consumption(database_url: str) -> None:
    """Size and time of requests are limited: a body, a file, a page, the duration of a body."""
    given: dict[str, Any] = {"max_body_bytes": 2048, "max_upload_bytes": 4096, "body_timeout": 0.3}
    async with serving(settings_for(database_url, **given)) as client, connected(client) as slow:
        past = await client.get(f"{IMAGES}/{await register(client)}/history", params={"pageSize": 101})
        large = await client.post(f"{IMAGES}/_register", json=minimal(algoDesc="a" * 2048))
        file = await upload(client, [minimal(algoDesc="a" * 4096)])
        page = await client.get(f"{IMAGES}/_search", params={"page": 1, "pageSize": 1001})
        assert [answer.json()["status"] for answer in (large, file, page, past)] == ["-413", "-413", "202", "202"]
        await slow.send(post(f"{IMAGES}/_register", "Content-Length: 999"))
        assert (await slow.answer()).status == 408
        assert await slow.closed()


async def test_api5_broken_function_level_authorization(service: httpx.AsyncClient) -> None:
    """Reading does not imply writing: each write needs an authority that covers it."""
    image_id = await register(service, "algo/a")
    for role in ({"authority": None, "namespace": "algo"}, {"authority": 9, "namespace": "algo"}):
        service.headers.update(bearer(**role))
        assert (await service.get(f"{IMAGES}/{image_id}")).status_code == 200
        assert refused(await service.post(f"{IMAGES}/_register", json=minimal("algo/b")))
        assert refused(await service.post(f"{IMAGES}/_update", json=minimal("algo/a", imageId=image_id)))
        assert refused(await upload(service, [minimal("algo/b")]))
        assert refused(await service.post(f"{IMAGES}/{image_id}/_restore", json={"version": 1}))
        assert refused(await delete(service, image_id))


async def test_api6_unrestricted_access_to_sensitive_business_flows(service: httpx.AsyncClient) -> None:
    """Dependencies in use cannot be deleted, and a repeated write is done once."""
    base = await register(service, "algo/base")
    await register(service, "algo/app", dependencyServiceId="algo/base:1.0")
    assert (await delete(service, base)).json()["status"] == "220"
    key = {"idempotency-key": "once"}
    sent = [await service.post(f"{IMAGES}/_register", json=minimal("algo/b"), headers=key) for _ in range(3)]
    assert {answer.headers["location"] for answer in sent} == {sent[0].headers["location"]}
    assert len(await records(service)) == 3


async def test_api7_server_side_request_forgery(database_url: str) -> None:
    """Only settings make the service connect anywhere; no redirect, token header or field of a record does."""
    async with key_server() as provider, key_server() as trap:
        given = settings_for(database_url, **SETTINGS, jwks_url=provider.url)
        provider.status, provider.location = 302, trap.url
        async with serving(given) as client:
            assert (await client.get(f"{IMAGES}/_search", headers=bearer())).status_code == 503
            assert provider.asked == 1
        provider.status = 200
        async with serving(given) as client:
            await _lead_astray(client, trap)
        assert (provider.asked, trap.asked) == (2, 0)


async def _lead_astray(client: httpx.AsyncClient, trap: KeyServer) -> None:
    """Send a URL in every place where a client may supply one."""
    for name in ("x", trap.url):
        stray = jwt.encode(claims(), ec_key("other"), "ES256", {"kid": name, "jku": trap.url, "x5u": trap.url})
        answer = await client.get(f"{IMAGES}/_search", headers={"authorization": f"Bearer {stray}"})
        assert answer.status_code == 401
    client.headers.update(bearer())
    fields = {"algoDesc": trap.url, "env": f"URL:{trap.url}", "command": trap.url, "args": trap.url}
    await register(client, "algo/a", **fields)
    await register(client, f"{trap.url.partition('//')[2].partition('/')[0]}/algo/b", factory=trap.url)


async def test_api8_security_misconfiguration(service: httpx.AsyncClient, database_url: str) -> None:
    """By default: no open listening, no cross-site writes, no internals in responses, pages with a CSP."""
    with pytest.raises(SettingsError, match="refusing to listen"):
        settings_for(database_url, host="0.0.0.0").check_listening()
    form = {"file": ("image_list.json", json.dumps([minimal()]))}
    forged = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    answer = await service.post(f"{IMAGES}/_upload", files=form, headers=forged)
    assert refused(answer)
    assert not {"access-control-allow-origin", "server", "x-powered-by"} & answer.headers.keys()
    assert "default-src" in (await service.get("/docs")).headers["content-security-policy"]
    for path in ("/.env", "/algoPlatform/../etc/passwd", "/docs/assets/..%2f..%2fapp.py", "/openapi.yaml"):
        told = (await service.get(path)).text
        assert not re.search(r"Traceback|File \"|site-packages|postgresql|root:", told), path


# Paths that need no token: health and documentation.
OPEN = {"/", "/docs", "/docs/assets", "/docs/pages", "/redoc", "/openapi.json", "/healthz", "/readyz", "/metrics"}


async def test_api9_improper_inventory_management(service: httpx.AsyncClient, settings: Settings) -> None:
    """The service has only the routes that it publishes, and all of these need a token."""
    published = {
        (method.upper(), path)
        for path, operations in (await service.get("/openapi.json")).json()["paths"].items()
        for method in operations
    }
    routed = routes_of(create_app(settings).routes)
    assert {route for route in routed if route[1] not in OPEN and route[0] != "HEAD"} == published
    del service.headers["authorization"]
    for method, path in routed:
        closed = path not in OPEN
        answer = await service.request(method, path.replace("{imageId}", "0" * 32))
        assert (answer.status_code == 401) is closed, (method, path)


def routes_of(routes: Iterable[Any]) -> set[tuple[str, str]]:
    """Return an application's routes by method and path, published or not."""
    found: set[tuple[str, str]] = set()
    for route in routes:
        if hasattr(route, "original_router"):  # how FastAPI stores an included router
            found |= routes_of(route.original_router.routes)
        else:
            methods = getattr(route, "methods", None) or {"GET"}
            found |= {(method, route.path.replace(":imageId", "")) for method in methods}
    return found


async def test_api10_unsafe_consumption_of_apis(database_url: str) -> None:
    """Invalid, oversized or redirecting responses of an identity provider neither grant access nor crash."""
    async with key_server() as provider, key_server() as trap:
        provider.location = trap.url
        given = settings_for(database_url, **SETTINGS, jwks_url=provider.url)
        answers: list[tuple[list[dict[str, Any]], int]] = [
            ([{"kty": "oct", "k": "AA", "kid": "first"}], 200),
            ([{"kty": "EC", "kid": "first"}, {"n": ["?"]}], 200),
            ([jwk("first", more="a" * 300_000)], 200),
            ([jwk("first")], 302),
            ([jwk("first")], 500),
        ]
        for keys, status in answers:
            provider.keys, provider.status = keys, status
            async with serving(given) as client:
                answer = await client.get(f"{IMAGES}/_search", headers=bearer())
                assert answer.json()["status"] in ("-401", "-503"), answer.text
                assert (await client.get("/readyz")).status_code == 200
        assert trap.asked == 0


def test_named() -> None:
    """SECURITY.md names each of these tests, in the order of OWASP's list."""
    named = re.findall(r"`(test_api\w+)`", (ROOT / "SECURITY.md").read_text("utf-8"))
    ours = [name for name in globals() if name.startswith("test_api")]
    assert named == ours
    assert [re.findall(r"\d+", name)[0] for name in named] == [str(number) for number in range(1, 11)]
