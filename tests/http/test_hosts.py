"""Hosts and origins: default ports are optional, a known name may have any port, all else is foreign."""

from typing import Any

import pytest

from algoplatform.api.middleware.hosts import is_known, is_loopback, is_same_origin, plain_origin
from tests.support.images import IMAGES, minimal
from tests.support.service import serving, settings_for


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost", "localhost:80", True),
        ("http://localhost:80", "localhost", True),
        ("http://localhost:80", "localhost:80", True),
        ("https://localhost", "localhost:443", True),
        ("https://localhost:443", "LOCALHOST", True),
        ("http://[::1]", "[::1]:80", True),
        ("https://[::1]:443", "[::1]", True),
        ("http://localhost:8000", "localhost:8000", True),
        ("https://ui.example", "ui.example", True),
        ("http://localhost", "localhost:443", False),
        ("https://localhost", "localhost:80", False),
        ("http://localhost", "localhost:8000", False),
        ("http://localhost:8080", "localhost:80", False),
        ("http://localhost.evil", "localhost:80", False),
        ("http://localhost:80:80", "localhost", False),
        ("null", "null", False),
        ("ftp://localhost", "localhost:80", False),
    ],
)
def test_same_origin(origin: str, host: str, same: bool) -> None:
    """A page is same-origin if its origin equals the Host, given the scheme's default port."""
    assert is_same_origin(plain_origin(origin), host) is same


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("registry.example", True),
        ("registry.example:80", True),
        ("Registry.Example:8443", True),
        ("ported.example:8000", True),
        ("ported.example", False),
        ("ported.example:80", False),
        ("plain.example", True),
        ("plain.example:80", True),
        ("plain.example:443", False),
        ("secure.example", True),
        ("a.wild.example:9000", True),
        ("a.wild.example", False),
        ("wild.example:9000", False),
        ("[::1]:8000", True),
        ("[::2]:8000", True),
        ("[::2]:80", False),
        ("[::2]", False),
        ("registry.example:", False),
        ("registry.example:x", False),
        ("evil.example:80", False),
        ("", False),
    ],
)
def test_known(host: str, known: bool) -> None:
    """An allowed host with a port matches this port only, one without a port matches any."""
    names = {"registry.example", "ported.example:8000", "plain.example:80", "secure.example:443", "*.wild.example:9000"}
    assert is_known(host, names | {"[::1]", "[::2]:8000"}) is known


def test_long_hosts() -> None:
    """Long hosts are compared in linear time."""
    assert not is_known(":1" * 16_000, {"*.example.com"})
    assert not is_loopback("127." * 8000)
    assert plain_origin("://" * 10_000) == "://" * 10_000


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:80", "http://localhost", 200),
        ("localhost", "http://localhost:80", 200),
        ("[::1]:80", "http://[::1]", 200),
        ("127.0.0.1:443", "https://127.0.0.1", 200),
        ("localhost:80", "http://localhost:8080", 403),
        ("localhost:80", "https://localhost", 403),
        ("evil.example:80", "http://evil.example", 400),
    ],
)
async def test_pages(database_url: str, host: str, origin: str, status: int) -> None:
    """A page of this service may write behind a proxy that writes the port out."""
    async with serving(settings_for(database_url)) as client:
        sent = {"host": host, "origin": origin}
        answer = await client.post(f"{IMAGES}/_register", json=minimal(), headers=sent)
        assert answer.status_code == status


@pytest.mark.parametrize("setting", ["https://ui.example", "https://ui.example:443"])
@pytest.mark.parametrize("origin", ["https://ui.example", "https://ui.example:443"])
async def test_pages_that_may_call(database_url: str, setting: str, origin: str) -> None:
    """An allowed origin may be spelled with or without its port, in preflights and requests."""
    given: dict[str, Any] = {"cors_origins": frozenset({setting})}
    async with serving(settings_for(database_url, **given)) as client:
        asking = {"origin": origin, "access-control-request-method": "POST"}
        assert (await client.options(f"{IMAGES}/_register", headers=asking)).status_code == 200
        answer = await client.post(f"{IMAGES}/_register", json=minimal(), headers={"origin": origin})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        other = await client.post(f"{IMAGES}/_register", json=minimal(), headers={"origin": "https://ui.example:444"})
        assert other.status_code == 403
