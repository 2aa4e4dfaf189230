"""HTTP clients for a single URL, which use the proxy that the environment configures for it.

httpx's own handling of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY raises on values that other programs
accept, and sends requests for loopback addresses through the proxy.
"""

import os
import ssl
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, Final

import httpx

from algoplatform.settings import SettingsError

_PORTS: Final = {"http": 80, "https": 443}
_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the environment variable that configures it."""

    variable: str
    proxy: httpx.Proxy


def open_client(
    url: httpx.URL, proxy: Proxy | None, *, context: ssl.SSLContext | None = None, **options: Any
) -> httpx.AsyncClient:
    """Create a client for a URL, by default with the usual TLS settings, as `client_context` returns them."""
    verify = (context or client_context()) if url.scheme == "https" else False
    return httpx.AsyncClient(trust_env=False, proxy=proxy.proxy if proxy else None, verify=verify, **options)


def client_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return the TLS settings of a client, which trusts the certificates of a file beside the usual ones.

    Raises SettingsError if the usual ones cannot be read, and OSError for the file.
    """
    try:
        context = httpx.create_ssl_context()
    except OSError:  # ssl.SSLError is a subclass
        raise SettingsError("SSL_CERT_FILE, SSL_CERT_DIR: cannot read certificates from there") from None
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def proxy_for(url: httpx.URL) -> Proxy | None:
    """Return the proxy for a URL, or None; raises SettingsError, naming the variable, if it is unusable."""
    named = _variable(f"{url.scheme}_proxy") or _variable("all_proxy")
    if named is None or _is_loopback(url.host) or _is_exempt(url):
        return None
    variable, value = named
    try:
        proxy = httpx.Proxy(value if "://" in value else f"http://{value}")
        # Only this raises if the proxy's scheme is not supported.
        httpx.AsyncHTTPTransport(proxy=proxy, trust_env=False, verify=False)
        if not proxy.url.host:
            raise ValueError("no host")
    except (ValueError, ImportError, httpx.InvalidURL):
        raise SettingsError(
            f"{variable}: is not the address of a usable proxy; it must be http://host:port or https://host:port,"
            " or NO_PROXY must list the requested host"
        ) from None
    return Proxy(variable, proxy)


def _variable(name: str) -> tuple[str, str] | None:
    """Return name and value of a variable; lower case takes precedence, and if empty disables upper case."""
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
    """Return whether an entry of NO_PROXY matches the URL.

    An entry is `*`, a domain with its subdomains, an IP address or a network; all but `*` and networks may
    have a port.
    """
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
    """Split off the port; an IPv6 address without brackets has none."""
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
