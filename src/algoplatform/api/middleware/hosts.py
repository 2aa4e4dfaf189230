"""Compare hosts and origins as browsers and proxies write them, with or without the scheme's default port."""

import re
from collections.abc import Collection
from typing import Final

_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?")
_PORT: Final = re.compile(r":[0-9]+\Z")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def plain_origin(origin: str) -> str:
    """Normalize an origin as browsers do: without its scheme's default port."""
    scheme, separator, host = origin.partition("://")
    return scheme + separator + _without_default(host, scheme)


def is_same_origin(origin: str, host: str) -> bool:
    """Return whether a normalized origin names this host; behind TLS termination the schemes differ."""
    scheme, _, address = origin.partition("://")
    return address == _without_default(host.lower(), scheme)


def is_loopback(host: str) -> bool:
    return _LOOPBACK.fullmatch(host.lower()) is not None


def is_known(host: str, known: Collection[str]) -> bool:
    """Return whether a Host matches an allowed one.

    An allowed host may begin with "*." and end with a port; without a port, any port matches.
    """
    host = host.lower()
    name = _PORT.sub("", host)
    # Browsers omit the default port of a scheme.
    written = {name, host} if host != name else {name, *(name + port for port in _DEFAULT_PORTS.values())}
    endings = tuple(item[1:] for item in known if item.startswith("*."))
    return any(each in known or each.endswith(endings) for each in written)


def _without_default(host: str, scheme: str) -> str:
    return host.removesuffix(_DEFAULT_PORTS[scheme]) if scheme in _DEFAULT_PORTS else host
