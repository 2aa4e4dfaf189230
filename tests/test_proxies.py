"""Which proxy the environment selects for a URL, in every spelling that other programs accept."""

import os

import httpx
import pytest

from algoplatform.proxies import open_client, proxy_for
from algoplatform.settings import SettingsError

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper() in VARIABLES:
            monkeypatch.delenv(name)


def _variable(url: str) -> str | None:
    found = proxy_for(httpx.URL(url))
    return found.variable if found else None


def test_none() -> None:
    """Without a variable there is no proxy."""
    assert _variable("https://registry.example") is None


def test_by_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheme's variable takes precedence over ALL_PROXY, and lower case over upper."""
    monkeypatch.setenv("ALL_PROXY", PROXY)
    assert _variable("http://registry.example") == "ALL_PROXY"
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert _variable("http://registry.example") == "ALL_PROXY"
    assert _variable("https://registry.example") == "HTTPS_PROXY"
    monkeypatch.setenv("https_proxy", PROXY)
    assert _variable("https://registry.example") == "https_proxy"
    monkeypatch.setenv("https_proxy", "")
    assert _variable("https://registry.example") == "ALL_PROXY"


@pytest.mark.parametrize(
    "value", ["proxy.example:3128", "http://u:p@proxy.example", "https://proxy.example", f" {PROXY}\n"]
)
def test_spellings(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A proxy without a scheme is HTTP; surrounding white space is ignored."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    found = proxy_for(httpx.URL("https://registry.example"))
    assert found is not None
    assert found.proxy.url.host == "proxy.example"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "127.9.9.9", "localhost", "a.localhost:1", "[::1]:8000", "0.0.0.0"])
def test_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Loopback is never reached through a proxy, whatever the variables say."""
    for name in VARIABLES[:3]:
        monkeypatch.setenv(name, "socks://user:hunter2@proxy.example")
    for scheme in ("http", "https"):
        assert _variable(f"{scheme}://{host}") is None


UNUSABLE = (
    "socks5://127.0.0.1:7890",
    "socks5h://127.0.0.1:7890",
    "socks4://127.0.0.1:7890",
    "socks://127.0.0.1:7890",
    "ftp://user:hunter2@proxy.example",
    "http://user:hunter2@",
    "http://user:hunter2@:3128",
    "http://user:hunter2/x@proxy.example",
    "http://proxy.example:hunter2",
    "http://[::1",
    "…",
    "http://\udcff",
)


@pytest.mark.parametrize("value", UNUSABLE)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
def test_unusable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """An unusable proxy is one line with its variable, without its value; if not needed, it is ignored."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: ") as caught:
        proxy_for(httpx.URL("https://registry.example"))
    assert caught.value.__suppress_context__
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("NO_PROXY", "registry.example")
    assert _variable("https://registry.example") is None


EXEMPT = [
    ("*", "https://registry.example", True),
    ("registry.example", "https://registry.example", True),
    ("example", "https://registry.example", True),
    (".example", "https://registry.example", True),
    ("*.example", "https://registry.example", True),
    ("Registry.Example", "https://registry.example", True),
    ("gistry.example", "https://registry.example", False),
    ("other.example, registry.example", "https://registry.example", True),
    ("other.example registry.example", "https://registry.example", True),
    ("registry.example:443", "https://registry.example", True),
    ("registry.example:8443", "https://registry.example:8443", True),
    ("registry.example:8443", "https://registry.example", False),
    ("https://registry.example", "https://registry.example", True),
    ("10.0.0.0/8", "http://10.96.12.7", True),
    ("10.96.12.7/8", "http://10.1.1.1", True),
    ("10.0.0.0/8", "http://11.0.0.1", False),
    ("10.0.0.0/8", "http://registry.example", False),
    ("10.96.12.7", "http://10.96.12.7:8000", True),
    ("10.96.12.7:8000", "http://10.96.12.7:8000", True),
    ("10.96.12.7:8001", "http://10.96.12.7:8000", False),
    ("96.12.7", "http://10.96.12.7", False),
    ("fd07::/64", "http://[fd07::5]:8000", True),
    ("fd07::/64", "http://[fd08::5]", False),
    ("fd07::5", "http://[fd07::5]:8000", True),
    ("[fd07::5]", "http://[fd07::5]:8000", True),
    ("[fd07::5]:8000", "http://[fd07::5]:8000", True),
    ("[fd07::5]:8001", "http://[fd07::5]:8000", False),
    ("[fd07::]/64", "http://[fd07::5]", True),
    ("::1/128,fd07::/64,[::1]", "https://registry.example", False),
    ("10.0.0.0/99,fd07::/x,[::1,:,/,.,,:80", "https://registry.example", False),
]


@pytest.mark.parametrize(("exempt", "url", "is_exempt"), EXEMPT)
def test_exempt(monkeypatch: pytest.MonkeyPatch, exempt: str, url: str, is_exempt: bool) -> None:
    """NO_PROXY lists hosts with their subdomains, addresses and networks, with or without ports.

    Invalid entries are ignored.
    """
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exempt)
    assert (_variable(url) is None) is is_exempt
    monkeypatch.setenv("no_proxy", "")
    assert _variable(url) == "ALL_PROXY"


async def test_client_reads_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client made without a proxy opens, whatever httpx would make of the variables."""
    monkeypatch.setenv("ALL_PROXY", "socks://x")
    monkeypatch.setenv("NO_PROXY", "::1/128,[::1]")
    async with open_client(httpx.URL("http://127.0.0.1:1"), None) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1")
