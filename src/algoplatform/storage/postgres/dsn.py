"""Parses the database URL as libpq does, into arguments for asyncpg; unsupported parameters raise SettingsError.

    address   = scheme "://" [ user [ ":" password ] "@" ] [ host *( "," host ) ] [ "/" database ]
                [ "?" parameters ]
    scheme    = "postgresql" | "postgres" | "postgresql+asyncpg"
    host      = ( name | "[" IPv6 "]" ) [ ":" port ]

Parameters that libpq does not know are session settings, as in asyncpg: `lock_timeout=100ms`. If all hosts
are Unix sockets, the TLS-related PG* environment variables, which asyncpg reads, are ignored, as libpq does.
"""

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from algoplatform.settings import SettingsError

_ADDRESS: Final = re.compile(
    r"(?:postgres|postgresql|postgresql\+asyncpg)://(?:([^@/?]*)@)?([^@/?]*)(?:/([^?]*))?(?:\?(.*))?"
)
_HOST: Final = re.compile(r"(\[[^\]]*\]|/.*|[^:]*|.*:.*:.*?)(?::([0-9]{1,5}))?")
_LAST_PORT: Final = 65535
_TLS: Final = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FILES: Final = ("sslcert", "sslkey", "sslrootcert", "sslcrl")
# asyncpg supports these parameters, with these values, or with any if none are listed.
_HONOURED: Final[dict[str, tuple[str, ...]]] = {
    "sslmode": _MODES,
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS,
    "ssl_max_protocol_version": _TLS,
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "gsslib": ("gssapi", "sspi"),
    **dict.fromkeys((*_FILES, "sslpassword", "krbsrvname", "service", "passfile"), ()),
}
# asyncpg behaves like this anyway; it does not support other values of these parameters.
_SATISFIED: Final = {
    "channel_binding": ("disable", "prefer"),
    "client_encoding": ("utf8", "UTF8", "utf-8", "UTF-8", "auto"),
    "gssdelegation": ("0",),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "max_protocol_version": ("3.0", "3.2", "latest"),
    "min_protocol_version": ("3.0",),
    "replication": ("false", "off", "no", "0"),
    "sslcertmode": ("allow",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
}
_REFUSED: Final = frozenset(
    {"hostaddr", "oauth_client_id", "oauth_client_secret", "oauth_issuer", "oauth_scope", "require_auth", "requirepeer"}
    | {"requiressl", "scram_client_key", "scram_server_key", "servicefile", "sslcrldir", "sslkeylogfile"}
)
_SET_ELSEWHERE: Final = {
    "prepared_statement_cache_size": "ALGOPLATFORM_PREPARED_STATEMENTS",
    "statement_cache_size": "ALGOPLATFORM_PREPARED_STATEMENTS",
    "command_timeout": "ALGOPLATFORM_STATEMENT_TIMEOUT",
}
_SOCKET: Final = {
    "keepalives": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "keepalives_idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "keepalives_interval": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "keepalives_count": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    "tcp_user_timeout": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
}
# Linux's limits, beyond which every connection would fail; in seconds, except milliseconds for tcp_user_timeout.
_MOST: Final = {"keepalives_idle": 32767, "keepalives_interval": 32767, "keepalives_count": 127}
_MOST_INTEGER: Final = 2**31 - 1
# Names of the session in PostgreSQL's views (pg_stat_activity): the URL overrides ours.
_NAMES: Final = ("application_name", "fallback_application_name")


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed database URL."""

    options: dict[str, Any]
    settings: dict[str, str]
    connect_timeout: float | None
    socket_options: tuple[tuple[int, int, int], ...]

    def arguments(self, settings: Mapping[str, str], timeout: float) -> dict[str, Any]:
        """Return the arguments of asyncpg.connect.

        `settings` override the session settings of the URL, except for the application name; the shorter of
        both timeouts (seconds) applies.
        """
        names = [self.settings[name] for name in _NAMES if name in self.settings]
        ours = dict(settings) | ({"application_name": names[0]} if names else {})
        theirs = {name: value for name, value in self.settings.items() if name not in _NAMES}
        return {
            **self.options,
            "server_settings": theirs | ours,
            "timeout": min(timeout, self.connect_timeout or timeout),
        }


def parse(url: str) -> Address:
    """Parse a database URL; raise SettingsError, which quotes no value, if it is invalid or not supported."""
    found = _ADDRESS.fullmatch(url)
    if found is None or "\0" in unquote(url):
        raise _wrong("must be postgresql://user:password@host:port/database")
    user, colon, password = (found[1] or "").partition(":")
    given = _parameters(found[4] or "")
    hosts = _hosts(found[2], unquote) if found[2] else _hosts(given.pop("host", ""), str)
    ports = _ports(given.pop("port", ""), hosts)
    options: dict[str, Any] = {"host": [host for host, _ in hosts], "port": ports}
    options["user"] = unquote(user) or given.pop("user", None)
    options["password"] = unquote(password) if colon else given.pop("password", None)
    options["database"] = unquote(found[3] or "") or given.pop("dbname", given.pop("database", None))
    for name in ("host", "user", "password", "dbname", "database"):
        given.pop(name, None)
    timeout = _integer(given, "connect_timeout")
    numbers = {name: _integer(given, name) for name in _SOCKET}
    # 0 means the system default, except for `keepalives`, which it turns off.
    wanted = {name: value for name, value in numbers.items() if value or (value == 0 and name == "keepalives")}
    options |= _honoured(given, [host for host, _ in hosts])
    return Address(
        {name: value for name, value in options.items() if value not in (None, [])},
        given,
        timeout if timeout and timeout > 0 else None,
        tuple((*_SOCKET[name], value) for name, value in wanted.items()),
    )


def connect_options(url: str, settings: Mapping[str, str], timeout: float = 60) -> dict[str, Any]:
    """Return the arguments of asyncpg.connect for a database URL; `timeout` in seconds."""
    return parse(url).arguments(settings, timeout)


def set_socket_options(connection: Any, address: Address) -> None:
    """Set the TCP socket options of the URL on a connection; no-op for Unix sockets."""
    found = connection._transport.get_extra_info("socket")
    if found is not None and found.family != socket.AF_UNIX:
        for option in address.socket_options:
            found.setsockopt(*option)


def _wrong(fault: str) -> SettingsError:
    return SettingsError(f"ALGOPLATFORM_DATABASE_URL: {fault}")


def _parameters(query: str) -> dict[str, str]:
    """Parse the query string; the last repetition wins, but each `host=` adds a host, as in SQLAlchemy."""
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, mark, value = part.partition("=")
        if not mark or not name:
            raise _wrong("a parameter behind `?` has no value")
        name, value = unquote(name), unquote(value)
        found[name] = f"{found[name]},{value}" if name == "host" and name in found else value
    return found


def _hosts(given: str, decoded: Callable[[str], str]) -> list[tuple[str, int | None]]:
    hosts = []
    for text in given.split(",") if given else []:
        found = _HOST.fullmatch(text)
        if not text or found is None or not found[1].strip("[]") or int(found[2] or 1) not in range(1, _LAST_PORT + 1):
            raise _wrong("host must be a list of host names, each with an optional port from 1 to 65535")
        host = decoded(found[1].removeprefix("[").removesuffix("]"))
        hosts.append((host, int(found[2]) if found[2] else None))
    return hosts


def _ports(given: str, hosts: list[tuple[str, int | None]]) -> list[int] | None:
    listed = given.split(",") if given else []
    if not all(port.isdecimal() and 1 <= int(port) <= _LAST_PORT for port in listed):
        raise _wrong("port must be a number from 1 to 65535")
    own = [port for _, port in hosts] or [None]
    numbers: list[int | None] = [int(port) for port in listed]
    if len(numbers) == 1:
        numbers *= len(own)
    if numbers and len(numbers) != len(own):
        raise _wrong("port must be one, or one for each host")
    if not numbers and not any(own):
        return None
    return [port or number or 5432 for port, number in zip(own, numbers or own, strict=True)]


def _integer(given: dict[str, str], name: str) -> int | None:
    value = given.pop(name, None)
    if value is None:
        return None
    first, last = (0 if name in _SOCKET else -_MOST_INTEGER), _MOST.get(name, _MOST_INTEGER)
    if not re.fullmatch(r"-?[0-9]{1,10}", value) or not first <= int(value) <= last:
        raise _wrong(f"{name} must be a whole number of at most {last}")
    return int(value)


def _honoured(given: dict[str, str], hosts: list[str]) -> dict[str, Any]:
    """Remove all parameters that are not session settings, check them, and return the options for asyncpg."""
    _spell_out_ssl(given)
    for name in sorted(_REFUSED & given.keys()):
        raise _wrong(f"{name} is not supported")
    for name in sorted(_SET_ELSEWHERE.keys() & given.keys()):
        raise _wrong(f"{name} is not taken here; set {_SET_ELSEWHERE[name]}")
    for name, values in (_HONOURED | _SATISFIED).items():
        if values and given.get(name, values[0]) not in values:
            raise _wrong(f"{name} must be one of {', '.join(values)}")
    for name in _SATISFIED:
        given.pop(name, None)
    taken = {name: value for name in _HONOURED if (value := given.pop(name, ""))}
    options: dict[str, Any] = {}
    if hosts and all(host.startswith("/") for host in hosts):
        # PostgreSQL has no TLS over Unix sockets.
        taken = {name: value for name, value in taken.items() if not name.startswith("ssl")}
        options = {"ssl": False, "direct_tls": False, "gsslib": taken.pop("gsslib", "gssapi")}
    _require_files(taken)
    return options | ({"dsn": f"postgresql://?{urlencode(taken, quote_via=quote)}"} if taken else {})


def _spell_out_ssl(given: dict[str, str]) -> None:
    """Translate `ssl=true` (JDBC) and `ssl=require` (SQLAlchemy with asyncpg) to sslmode."""
    mode = given.pop("ssl", None)
    if mode is not None:
        if mode not in ("true", *_MODES):
            raise _wrong(f"ssl must be one of true, {', '.join(_MODES)}")
        given.setdefault("sslmode", "require" if mode == "true" else mode)


def _require_files(taken: Mapping[str, str]) -> None:
    for name in _FILES:
        if name in taken:
            try:
                Path(taken[name]).open("rb").close()
            except OSError:
                raise _wrong(f"{name} names no file that can be read") from None
