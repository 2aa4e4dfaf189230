"""Logging in: with an identity provider, or with a pasted token."""

import asyncio
import gzip
import json
import re
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.console import inputs, post, replaced
from tests.support.identity import Identity, identity_provider
from tests.support.images import IMAGES, minimal
from tests.support.service import serving, settings_for
from tests.support.tokens import SETTINGS, bearer, key_server, token


@pytest.fixture
def provider() -> Iterator[Identity]:
    """An identity provider."""
    with identity_provider() as running:
        yield running


@pytest.fixture
async def site(database_url: str, provider: Identity) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a cookie jar, for a service that uses that provider."""
    async with serving(settings_for(database_url, **provider.settings)) as client:
        yield client


async def logged_in(client: httpx.AsyncClient, path: str = "/images") -> httpx.Response:
    """Get a page, following the redirects of the login as a browser does."""
    return await client.get(f"/console{path}", follow_redirects=True)


async def test_login_without_a_click(site: httpx.AsyncClient, provider: Identity) -> None:
    """A page redirects through the provider and back to itself; cookies with tokens are HttpOnly."""
    answer = await logged_in(site, "/images?factory=a%20b")
    assert answer.status_code == 200
    assert answer.url.path == "/console/images"
    assert answer.url.params["factory"] == "a b"
    assert [step.status_code for step in answer.history] == [303, 303, 302, 303]
    [asked] = provider.asked
    assert (asked["scope"], asked["code_challenge_method"], asked["tenant"]) == ("openid", "S256", "a")
    assert asked["redirect_uri"] == f"{site.base_url}/console/callback".replace("//console", "/console")
    begun, kept = answer.history[1].headers["set-cookie"], answer.history[3].headers.get_list("set-cookie")
    assert "Max-Age=600" in begun
    assert all(
        "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/console" in cookie for cookie in [begun, kept[0]]
    )
    assert not any("Secure" in cookie for cookie in kept)
    assert "alice" in answer.text
    assert (await site.get("/console/session")).status_code == 204
    # The API ignores the cookie.
    assert (await site.get(f"{IMAGES}/_search")).status_code == 401


async def test_actor_and_rights(site: httpx.AsyncClient, provider: Identity) -> None:
    """The history shows the person's name, and the claims limit what they may change."""
    provider.claims = {"sub": "bob", "authority": 2, "namespace": "algo"}
    await logged_in(site)
    assert (await post(site, "/images/new", minimal("other/a"))).status_code == 403
    made = await post(site, "/images/new", minimal("algo/a"))
    assert made.status_code == 303
    assert "bob" in (await site.get(f"{made.headers['location']}/history")).text
    provider.claims = {"authority": None}
    site.cookies.clear()
    page = await logged_in(site)
    assert page.status_code == 200
    assert "/console/images/new" not in page.text


async def test_large_token(site: httpx.AsyncClient, provider: Identity) -> None:
    """A token larger than a cookie is split over several cookies."""
    provider.claims = {"groups": ["g" * 100] * 40}
    answer = await logged_in(site)
    assert answer.status_code == 200
    assert {"token0", "token1"} <= set(site.cookies)


async def test_secure_by_https(database_url: str, provider: Identity) -> None:
    """Behind a trusted HTTPS proxy, cookies are Secure and the provider redirects to the HTTPS address."""
    given = settings_for(database_url, **provider.settings, trusted_proxies=frozenset({"127.0.0.1"}))
    async with serving(given) as client:
        answer = await client.get("/console/login", headers={"x-forwarded-proto": "https", "host": "registry.example"})
        assert "Secure" in answer.headers["set-cookie"]
        assert "https%3A%2F%2Fregistry.example%2Fconsole%2Fcallback" in answer.headers["location"]


async def test_foreign_callbacks(site: httpx.AsyncClient, provider: Identity) -> None:
    """A callback without a login, a refusal, and an unusable token are 4xx pages and set no token."""
    answers = [await site.get("/console/callback?code=x&state=y"), await site.get("/console/callback")]
    begun = await site.get("/console/login?to=/console/import")
    state = re.search(r"state=([\w-]+)", begun.headers["location"])
    assert state
    answers.append(await site.get(f"/console/callback?state={state[1]}"))
    answers.append(await site.get(f"/console/callback?code=wrong&state={state[1]}"))
    answers.append(await site.get("/console/callback?code=x&state=%E9%95%9C"))
    provider.refuses = True
    answers.append(await logged_in(site))
    provider.refuses = False
    for useless in (b"no json", b"[]", b'{"access_token": 5}', b'{"access_token": "a.b.c"}', b"{}"):
        provider.answers = useless
        answers.append(await logged_in(site))
    for answer in answers:
        assert 400 <= answer.status_code < 500, answer.text
        assert "token0" not in answer.headers.get("set-cookie", "")
    assert "token0" not in site.cookies


async def test_unbounded_answers(site: httpx.AsyncClient, provider: Identity) -> None:
    """A token answer that is compressed or too large is refused, as it could fill the memory."""
    good = json.dumps({"access_token": token(provider.kid)}).encode()
    for encoding, answer in (("gzip", gzip.compress(good)), ("", good + b" " * (300 << 10))):
        provider.encoding, provider.answers = encoding, answer
        assert 400 <= (await logged_in(site)).status_code < 500
        assert "token0" not in site.cookies
    provider.answers = good
    assert (await logged_in(site)).status_code == 200


@pytest.mark.parametrize(
    "to", ["https://evil.example/console/", "//evil.example", "/console/\\evil", "/docs", "x" * 5000]
)
async def test_foreign_destination(site: httpx.AsyncClient, to: str) -> None:
    """A login redirects only to pages of the console."""
    answer = await site.get("/console/login", params={"to": to}, follow_redirects=True)
    assert answer.url.path == "/console/images"


async def test_expired(site: httpx.AsyncClient, provider: Identity) -> None:
    """Once a login expired, forms are shown again with their input as 401; fetches get 401, navigations a redirect."""
    await logged_in(site)
    made = await post(site, "/images/new", minimal("algo/a"))
    page = (await site.get(f"{made.headers['location']}/edit")).text
    fields = replaced(inputs(page), algoDesc="重要的话")
    kept = dict(site.cookies)
    site.cookies.clear()
    for path in (f"{made.headers['location'].removeprefix('/console')}/edit", "/images/new"):
        answer = await post(site, path, fields)
        assert answer.status_code == 401
        assert "登录已过期" in answer.text
        assert dict(inputs(answer.text))["algoDesc"] == "重要的话"
    answer = await post(site, "/plan", {"cameras.name": "厂区", "kubectl": "{}"})
    assert (answer.status_code, "登录已过期" in answer.text) == (401, True)
    assert {("cameras.name", "厂区"), ("kubectl", "{}")} <= set(inputs(answer.text))
    assert (await site.get("/console/images", headers={"x-part": "rows"})).status_code == 401
    assert (await site.get("/console/images/count", headers={"sec-fetch-mode": "cors"})).status_code == 401
    assert (await site.get("/console/session")).status_code == 401
    assert (await site.get("/console/images")).headers["location"].startswith("/console/login?to=")
    assert (await post(site, "/images/delete", {"imageId": "0" * 32})).status_code == 401
    site.cookies.update(kept)
    assert (await post(site, f"{made.headers['location'].removeprefix('/console')}/edit", fields)).status_code == 303


async def test_hostile_cookies(site: httpx.AsyncClient) -> None:
    """Cookies without a valid token are 401."""
    for value in ("x", "a.b.c", "é", "a" * 3500, token("other"), token(exp=1)):
        headers = {b"cookie": f"token0={value}; token1={'b' * 10}".encode()}
        assert (await site.get("/console/session", headers=headers)).status_code == 401


async def test_rotated_keys(database_url: str, provider: Identity) -> None:
    """Tokens signed with a new key of the provider are accepted once the keys have been fetched again."""
    async with serving(settings_for(database_url, **provider.settings, jwks_refresh=1)) as client:
        assert (await logged_in(client)).status_code == 200
        provider.kid = "second"
        client.cookies.clear()
        deadline = time.monotonic() + 60
        while (await logged_in(client)).status_code != 200:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


async def test_logout(site: httpx.AsyncClient) -> None:
    """Logging out requires POST, and ends on a page that links to the login."""
    await logged_in(site)
    assert (await site.get("/console/logout")).status_code == 405
    answer = await post(site, "/logout", {})
    assert answer.status_code == 200
    assert "/console/login" in answer.text
    assert "token0" not in site.cookies


async def test_unreachable_provider(database_url: str, provider: Identity) -> None:
    """An unreachable provider is 503."""
    given = provider.settings | {"oidc_token_url": "http://127.0.0.2:9/token"}
    async with serving(settings_for(database_url, **given)) as client:
        assert (await logged_in(client)).status_code == 503


async def test_pasted_token(database_url: str) -> None:
    """Without a provider, users paste a token."""
    async with key_server() as keys, serving(settings_for(database_url, **SETTINGS, jwks_url=keys.url)) as client:
        page = await client.get("/console/images/new", follow_redirects=True)
        assert 'name="token"' in page.text
        refused = await post(client, "/login/token", {"token": token(exp=1), "to": "/console/images/new"})
        assert (refused.status_code, "令牌已过期" in refused.text) == (401, True)
        answer = await post(client, "/login/token", {"token": f" {token()} ", "to": "/console/images/new"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/images/new")
        assert (await client.get("/console/images/new")).status_code == 200
        assert (await client.get(f"{IMAGES}/_search", headers=bearer())).status_code == 200


async def test_gateway_needs_no_login(client: httpx.AsyncClient) -> None:
    """Behind a gateway there are no login pages, and the session is always valid."""
    assert (await client.get("/console/session")).status_code == 204
    for path in ("/login", "/callback", "/logout"):
        assert (await client.get(f"/console{path}")).status_code == 404
    assert (await post(client, "/logout", {})).status_code == 404
