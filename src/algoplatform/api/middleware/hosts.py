"""Hosts and origins as browsers and proxies write them: a scheme's default port may stand there or not."""

import re
from collections.abc import Collection
from typing import Final

_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?")
_PORT: Final = re.compile(r":[0-9]+\Z")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def plain_origin(origin: str) -> str:
    """Write an origin as browsers do, without the port that its scheme implies."""
    scheme, separator, host = origin.partition("://")
    return scheme + separator + _without_default(host, scheme)


def is_same_origin(origin: str, host: str) -> bool:
    """Tell whether a plain origin names this host; behind a proxy that ends TLS its scheme is not ours."""
    scheme, _, address = origin.partition("://")
    return address == _without_default(host.lower(), scheme)


def is_loopback(host: str) -> bool:
    """Tell whether a Host names this machine."""
    return _LOOPBACK.fullmatch(host.lower()) is not None


def is_known(host: str, known: Collection[str]) -> bool:
    """Tell whether a Host is one of these, which may begin with "*." and end with a port; without one, any port will do."""
    host = host.lower()
    name = _PORT.sub("", host)
    # Browsers leave out a port that their scheme implies.
    written = {name, host} if host != name else {name, *(name + port for port in _DEFAULT_PORTS.values())}
    return any(item in written or (item[:2] == "*." and _ends(written, item[1:])) for item in known)


def _ends(written: Collection[str], ending: str) -> bool:
    return any(each.endswith(ending) for each in written)


def _without_default(host: str, scheme: str) -> str:
    return host.removesuffix(_DEFAULT_PORTS[scheme]) if scheme in _DEFAULT_PORTS else host
