"""ALGOPLATFORM_REGISTRIES: valid and invalid values, and that no message or listing reveals secrets."""

import json
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from algoplatform.registries.configured import parse_registries
from algoplatform.runtime import Runtime
from algoplatform.settings import SettingsError, describe
from tests.support.certificates import Authority
from tests.support.service import settings_for

SECRET = "hunter2"


def test_none() -> None:
    """An empty setting configures no registry."""
    assert parse_registries("") == parse_registries("[]") == {}


def test_hosts() -> None:
    """A registry matches the host of an image name in any case, with or without the default port."""
    text = json.dumps([{"host": "Harbor.local:443"}, {"host": "10.0.0.5:80", "http": True}, {"host": "[::1]:5000"}])
    registries = parse_registries(text)
    assert [each.origin for each in registries.values()] == [
        "https://harbor.local",
        "http://10.0.0.5",
        "https://[::1]:5000",
    ]
    harbor, plain, _ = registries.values()
    assert [harbor.is_named(host) for host in ("harbor.local", "HARBOR.local:443", "harbor.local:80")] == [
        True,
        True,
        False,
    ]
    assert [plain.is_named(host) for host in ("10.0.0.5", "10.0.0.5:80", "10.0.0.5:443")] == [True, True, False]


@pytest.mark.parametrize(
    ("realm", "url", "trusted"),
    [
        ("auth.local", "https://auth.local/token", True),
        ("auth.local", "https://auth.local:443/other", True),
        ("auth.local", "http://auth.local/token", False),
        ("auth.local", "https://auth.local:8443/token", False),
        ("auth.local", "https://auth.local.evil/token", False),
        ("https://auth.local/token", "https://auth.local/token?a=b", True),
        ("https://auth.local/token", "https://auth.local/tokens", False),
        ("http://auth.local", "http://auth.local/token", True),
        ("auth.local", "https://harbor.local/service/token", True),
        ("auth.local", "http://harbor.local/service/token", False),
        ("auth.local", "https://harbor.local:5000/token", False),
    ],
)
def test_realms(realm: str, url: str, trusted: bool) -> None:
    """A token server is trusted if it has the registry's own origin or is named in the setting."""
    [registry] = parse_registries(json.dumps([{"host": "harbor.local", "realms": [realm]}])).values()
    assert registry.trusts(httpx.URL(url)) is trusted


@pytest.mark.parametrize(
    "text",
    [
        f"{{{SECRET}",
        f'{{"{SECRET}": 1}}',
        f'"{SECRET}"',
        "[" * 100_000,
        json.dumps([SECRET]),
        json.dumps([{"host": "harbor.local", SECRET: 1}]),
        json.dumps([{"password": SECRET}]),
        json.dumps([{"host": f"u:{SECRET}@harbor.local"}]),
        json.dumps([{"host": f"https://{SECRET}"}]),
        json.dumps([{"host": f"{SECRET}:99999"}]),
        json.dumps([{"host": f"{SECRET}:0"}]),
        json.dumps([{"host": SECRET}]),
        json.dumps([{"host": 1, "password": SECRET}]),
        json.dumps([{"host": "harbor.local", "http": SECRET}]),
        json.dumps([{"host": "harbor.local", "password": SECRET}]),
        json.dumps([{"host": "harbor.local", "username": SECRET}]),
        json.dumps([{"host": "harbor.local", "username": f"u:{SECRET}", "password": SECRET}]),
        json.dumps([{"host": "harbor.local", "username": "u", "password": f"{SECRET}\n"}]),
        json.dumps([{"host": "harbor.local", "username": "u", "password": [SECRET]}]),
        json.dumps([{"host": "harbor.local", "caFile": f"/{SECRET}"}]),
        json.dumps([{"host": "harbor.local", "caFile": __file__}]),
        json.dumps([{"host": "harbor.local", "realms": SECRET}]),
        json.dumps([{"host": "harbor.local", "realms": [f"https://u:{SECRET}@auth.local"]}]),
        json.dumps([{"host": "harbor.local", "realms": [f"https://auth.local/?{SECRET}"]}]),
        json.dumps([{"host": "harbor.local", "realms": [f"ftp://{SECRET}"]}]),
        json.dumps([{"host": "harbor.local", "realms": [f"http://[{SECRET}"]}]),
        json.dumps([{"host": "harbor.local", "realms": ["a.b"] * 21, "password": SECRET}]),
        json.dumps([{"host": "harbor.local"}, {"host": "HARBOR.local:443", "username": "u", "password": SECRET}]),
    ],
)
async def test_refused(text: str) -> None:
    """The service does not start with an invalid setting, and its message quotes none of it."""
    settings = settings_for("postgresql://u@127.0.0.1:1/none", registries=SecretStr(text))
    with pytest.raises(SettingsError) as refused:
        async with Runtime.open(settings):
            pass
    message = str(refused.value)
    assert message.startswith("ALGOPLATFORM_REGISTRIES: ")
    assert SECRET not in message
    assert refused.value.__cause__ is None


def test_masked() -> None:
    """Neither `algoplatform settings` nor a representation shows a password."""
    text = json.dumps([{"host": "harbor.local", "username": "u", "password": SECRET}])
    settings = settings_for("postgresql://u@127.0.0.1:1/none", registries=SecretStr(text))
    shown = {name: value for name, value, *_ in describe(settings)}["ALGOPLATFORM_REGISTRIES"]
    assert shown == "**********"
    assert SECRET not in repr(settings)
    [registry] = parse_registries(text).values()
    assert registry.authorization is not None
    assert registry.authorization not in repr(registry)


def test_ca_file(tmp_path: Path) -> None:
    """A file with a CA's certificate is accepted."""
    file = Authority(tmp_path).certificate
    [registry] = parse_registries(json.dumps([{"host": "harbor.local", "caFile": str(file)}])).values()
    assert registry.ca_file == file
