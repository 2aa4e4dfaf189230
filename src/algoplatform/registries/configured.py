"""Parses ALGOPLATFORM_REGISTRIES: the registries that may be contacted, how, and with which credentials.

Error messages quote no values, as any of them may contain a password.
"""

import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from algoplatform.domain.errors import Malformed
from algoplatform.domain.grammar.reference import ImageName

_KEYS: Final = ("host", "http", "username", "password", "caFile", "realms")
_EXAMPLE: Final = '[{"host": "harbor.local", "username": "…", "password": "…"}]'
_PORTS: Final = {"http": ":80", "https": ":443"}
_MOST_REALMS: Final = 20
_LAST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Realm:
    """A token server: an origin such as https://auth.local, and its path; None for any path."""

    origin: str
    path: str | None = None

    def covers(self, url: httpx.URL) -> bool:
        """Return whether a URL belongs to this realm; its query does not matter."""
        return origin_of(url) == self.origin and self.path in (None, url.path)


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry. `host` omits a default port; `authorization` is the HTTP Basic header, None without credentials."""

    host: str
    http: bool = False
    authorization: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    realms: tuple[Realm, ...] = ()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'http' if self.http else 'https'}://{self.host}"

    def is_named(self, host: str) -> bool:
        """Return whether the host of an image name is this registry."""
        return plain_host(host, http=self.http) == self.host

    def trusts(self, url: httpx.URL) -> bool:
        """Return whether a token server may get credentials: it is on this origin, or is a configured realm."""
        return origin_of(url) == self.origin or any(realm.covers(url) for realm in self.realms)


def origin_of(url: httpx.URL) -> str:
    """Return scheme, host and port of a URL; httpx drops default ports and lowers the case."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def plain_host(host: str, *, http: bool) -> str:
    """Return a host in lower case, without the default port of its scheme."""
    return host.lower().removesuffix(_PORTS["http" if http else "https"])


def parse_registries(text: str) -> dict[str, Registry]:
    """Parse the setting into registries by host; raises ValueError, whose message numbers the entries from 1."""
    try:
        given = json.loads(text) if text else []
    except (ValueError, RecursionError):
        raise ValueError(f"must be a JSON list such as {_EXAMPLE}") from None
    if not isinstance(given, list):
        raise ValueError(f"must be a JSON list such as {_EXAMPLE}")
    found: dict[str, Registry] = {}
    for number, item in enumerate(given, 1):
        try:
            registry = _registry(item)
        except ValueError as error:
            raise ValueError(f"registry {number} {error}") from None
        if registry.host in found:
            raise ValueError(f"registry {number} has the host of an earlier one")
        found[registry.host] = registry
    return found


def _registry(item: Any) -> Registry:
    if not isinstance(item, dict) or not set(item) <= set(_KEYS):
        raise ValueError(f"must be an object with {', '.join(_KEYS)} only")
    http = item.get("http", False)
    if not isinstance(http, bool):
        raise ValueError("must have true or false as http")
    host = _text(item, "host")
    if not host or not _is_host(host):
        raise ValueError("must have a host as image names begin with it, such as harbor.local or 10.0.0.5:5000")
    realms = item.get("realms") or []
    if not isinstance(realms, list) or len(realms) > _MOST_REALMS or not all(isinstance(each, str) for each in realms):
        raise ValueError(f"must have a list of up to {_MOST_REALMS} texts as realms")
    return Registry(
        plain_host(host, http=http),
        http,
        _authorization(_text(item, "username"), _text(item, "password")),
        _ca_file(_text(item, "caFile")),
        tuple(_realm(each, http=http) for each in realms),
    )


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"must have a printable text as {name}")
    return value


def _is_host(host: str) -> bool:
    try:
        return ImageName.parse(f"{host}/a").host == host and _is_address(httpx.URL(f"http://{host}"))
    except (Malformed, httpx.InvalidURL):
        return False


def _is_address(url: httpx.URL) -> bool:
    """Return whether a URL has a valid host and port; httpx accepts any port, and escapes invalid characters."""
    return bool(url.host) and "%" not in url.host and (url.port is None or 0 < url.port <= _LAST_PORT)


def _authorization(username: str, password: str) -> str | None:
    if bool(username) != bool(password):
        raise ValueError("must have both username and password, or neither")
    if ":" in username:
        raise ValueError("must have a username without a colon, which HTTP Basic cannot express")
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}" if username else None


def _ca_file(name: str) -> Path | None:
    if not name:
        return None
    path = Path(name)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise ValueError("must have a readable file of CA certificates (PEM) as caFile") from None
    return path


def _realm(text: str, *, http: bool) -> Realm:
    """Parse a realm: a host, which covers all its paths, or a URL, which covers one path."""
    try:
        url = httpx.URL(text if "://" in text else f"{'http' if http else 'https'}://{text}")
        is_whole = url.scheme in ("http", "https") and _is_address(url) and not url.userinfo and not url.query
    except httpx.InvalidURL:
        is_whole = False
    if not is_whole:
        raise ValueError("must have hosts, or URLs such as https://auth.local/token without user and query, as realms")
    return Realm(origin_of(url), url.path if "://" in text and url.path != "/" else None)
