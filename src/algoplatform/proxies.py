"""Makes HTTP clients for one address, through the proxy that the environment names for it, where it names one.

httpx's own reading of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY raises on what other programs take, and sends
requests to this very machine through a proxy elsewhere.
"""

import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

import httpx

from algoplatform.settings import SettingsError

_PORTS: Final = {"http": 80, "https": 443}
_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and the variable that names it."""

    variable: str
    proxy: httpx.Proxy


def open_client(url: httpx.URL, proxy: Proxy | None, **options: Any) -> httpx.AsyncClient:
    """Make a client for one address; SettingsError where the certificates that the environment names cannot be read."""
    try:
        verify = httpx.create_ssl_context() if url.scheme == "https" else False
    except OSError:  # also what ssl raises
        raise SettingsError("SSL_CERT_FILE, SSL_CERT_DIR: no certificates can be read there") from None
    return httpx.AsyncClient(trust_env=False, proxy=proxy.proxy if proxy else None, verify=verify, **options)


def proxy_for(url: httpx.URL) -> Proxy | None:
    """Find the proxy for an address; SettingsError, naming the variable, where it is none that can be used."""
    named = _variable(f"{url.scheme}_proxy") or _variable("all_proxy")
    if named is None or _is_loopback(url.host) or _is_exempt(url):
        return None
    variable, value = named
    try:
        proxy = httpx.Proxy(value if "://" in value else f"http://{value}")
        # Whether this kind of proxy is supported shows only here.
        httpx.AsyncHTTPTransport(proxy=proxy, trust_env=False, verify=False)
        if not proxy.url.host:
            raise ValueError("no host")
    except (ValueError, ImportError, httpx.InvalidURL):
        raise _unusable(variable) from None
    return Proxy(variable, proxy)


def _unusable(variable: str) -> SettingsError:
    return SettingsError(
        f"{variable}: is not the address of a usable proxy; it must be http://host:port or https://host:port,"
        " or NO_PROXY must list the host that is asked for"
    )


def _variable(name: str) -> tuple[str, str] | None:
    """Read a variable; the lower-case spelling counts, also where it is empty to switch the other off."""
    for spelling in (name, name.upper()):
        value = os.environ.get(spelling)
        if value is not None:
            return (spelling, value.strip()) if value.strip() else None
    return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _is_exempt(url: httpx.URL) -> bool:
    named = _variable("no_proxy")
    return named is not None and any(_covers(entry, url) for entry in named[1].replace(",", " ").split())


def _covers(entry: str, url: httpx.URL) -> bool:
    """Whether an entry of NO_PROXY names the address: *, a host and all below it, an address, a network; with a port or without."""
    if entry == "*":
        return True
    entry = entry.rpartition("://")[2].lower()
    network, address = _network(entry), _address(url.host)
    if network is not None:
        return address is not None and address in network
    host, port = _split(entry)
    if port is not None and port != str(url.port or _PORTS.get(url.scheme)):
        return False
    if _address(host) is not None or address is not None:
        return _address(host) == address
    host = host.removeprefix("*").removeprefix(".")
    return bool(host) and (url.host == host or url.host.endswith(f".{host}"))


def _split(entry: str) -> tuple[str, str | None]:
    """Split a port off, which an IPv6 address without brackets has not."""
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (host.endswith("]") or ":" not in host):
        return host, port
    return entry, None


def _address(host: str) -> _Address | None:
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _network(entry: str) -> Any:
    base, slash, bits = entry.partition("/")
    try:
        return ip_network(f"{base.removeprefix('[').removesuffix(']')}/{bits}", strict=False) if slash else None
    except ValueError:
        return None
