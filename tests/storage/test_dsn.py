"""Database URLs: libpq's parameters are accepted if asyncpg supports them, and otherwise rejected by name."""

import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from asyncpg import connect_utils
from hypothesis import given
from hypothesis import strategies as st

from algoplatform.settings import SettingsError
from algoplatform.storage.postgres.dsn import connect_options, parse
from algoplatform.storage.postgres.pool import Database
from tests.support import process
from tests.support.images import IMAGES

OURS = {"application_name": "algoplatform"}


def _read(url: str) -> tuple[Any, Any]:
    """Return the hosts and parameters that asyncpg derives from a URL of ours."""
    names = ("dsn", "host", "port", "user", "password", "passfile", "database", "ssl", "service", "servicefile")
    more = ("direct_tls", "server_settings", "target_session_attrs", "krbsrvname", "gsslib")
    options = connect_options(url, OURS)
    options.pop("timeout")
    read = connect_utils._parse_connect_dsn_and_args  # type: ignore[attr-defined]  # not in the stubs
    addresses, parameters = read(**(dict.fromkeys((*names, *more)) | options))
    return addresses, parameters


WHERE: list[tuple[str, list[Any]]] = [
    ("postgresql://u@db/x", [("db", 5432)]),
    ("postgres://u@db:6543/x", [("db", 6543)]),
    ("postgresql+asyncpg://u@db/x", [("db", 5432)]),
    ("postgresql://u@[::1]:6543/x", [("::1", 6543)]),
    ("postgresql://u@a,b:6543/x", [("a", 5432), ("b", 6543)]),
    ("postgresql://u@a,b/x?port=1,2", [("a", 1), ("b", 2)]),
    ("postgresql://u@db/x?port=6543", [("db", 6543)]),
    ("postgresql://u@/x?host=a,b&port=6543", [("a", 6543), ("b", 6543)]),
    ("postgresql://u@/x?host=a:1&host=b:2", [("a", 1), ("b", 2)]),
    ("postgresql://u@/x?host=::1", [("::1", 5432)]),
    ("postgresql://u@/x?host=/run/postgresql", ["/run/postgresql/.s.PGSQL.5432"]),
    ("postgresql://u@%2Frun%2Fpostgresql:6543/x", ["/run/postgresql/.s.PGSQL.6543"]),
    ("postgresql://u@/x?host=%2Fa,%2Fb", ["/a/.s.PGSQL.5432", "/b/.s.PGSQL.5432"]),
]


@pytest.mark.parametrize(("url", "addresses"), WHERE)
def test_where(url: str, addresses: list[Any]) -> None:
    """Hosts and ports are parsed in every syntax, one host or several."""
    found, parameters = _read(url)
    assert found == addresses
    assert (parameters.user, parameters.database) == ("u", "x")


@given(st.text(min_size=1), st.text(), st.text(min_size=1))
def test_any_text(user: str, password: str, database: str) -> None:
    """Any percent-encoded text is decoded to the original."""

    def coded(text: str) -> str:
        return quote(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", ""), safe="") or "x"

    url = f"postgresql://{coded(user)}:{coded(password)}@db/{coded(database)}"
    options = parse(url).options
    assert [coded(options[name]) for name in ("user", "password", "database")] == [
        coded(text) for text in (user, password, database)
    ]


def test_query_speaks_for_the_rest() -> None:
    """User, password and database may be given in the query string, where a plus is a plus."""
    _, parameters = _read("postgresql://db?user=u&password=a+b%26c&dbname=x")
    assert (parameters.user, parameters.password, parameters.database) == ("u", "a+b&c", "x")


def test_tls(tmp_path: Path) -> None:
    """asyncpg uses the TLS settings of the URL."""
    assert _read("postgresql://u@db/x?sslmode=require")[1].sslmode.name == "require"
    assert _read("postgresql://u@db/x?ssl=true")[1].sslmode.name == "require"
    assert _read("postgresql+asyncpg://u@db/x?ssl=disable")[1].ssl is False
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        with pytest.raises(SettingsError, match=f": {name} names no file that can be read$"):
            parse(f"postgresql://u@db/x?sslmode=verify-full&{name}={tmp_path}/none")


TAKEN = [
    "channel_binding=prefer",
    "client_encoding=UTF8",
    "gssencmode=disable",
    "sslcompression=0",
    "load_balance_hosts=disable",
    "keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=10000",
    "connect_timeout=10",
    "connect_timeout=0",
    "fallback_application_name=mine",
    "sslmode=disable&sslnegotiation=postgres",
    "options=-c%20geqo%3Doff",
    "lock_timeout=100ms",
    "passfile=/nowhere",
    "krbsrvname=postgres&gsslib=gssapi",
]


@pytest.mark.parametrize("query", TAKEN)
async def test_taken(database_url: str, query: str) -> None:
    """Supported libpq parameters work on the service's connections and on those of migrations."""
    url = f"{database_url}&{query}"
    async with Database.open(url) as database, database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    connection = await asyncpg.connect(**connect_options(url, {}))
    assert await connection.fetchval("SHOW client_encoding") == "UTF8"
    await connection.close()


REFUSED = [
    ("channel_binding=require", "channel_binding must be one of disable, prefer"),
    ("gssencmode=require", "gssencmode must be one of disable, prefer"),
    ("client_encoding=GBK", "client_encoding must be one of utf8"),
    ("sslmode=hunter2", "sslmode must be one of disable"),
    ("ssl=hunter2", "ssl must be one of true"),
    ("sslnegotiation=hunter2", "sslnegotiation must be one of postgres, direct"),
    ("target_session_attrs=master", "target_session_attrs must be one of any, read-write"),
    ("hostaddr=10.0.0.1", "hostaddr is not supported"),
    ("require_auth=scram-sha-256", "require_auth is not supported"),
    ("requirepeer=postgres", "requirepeer is not supported"),
    ("sslcrldir=/x", "sslcrldir is not supported"),
    ("oauth_client_secret=hunter2", "oauth_client_secret is not supported"),
    ("load_balance_hosts=random", "load_balance_hosts must be one of disable"),
    ("replication=database", "replication must be one of false"),
    ("connect_timeout=hunter2", "connect_timeout must be a whole number"),
    ("keepalives_idle=x", "keepalives_idle must be a whole number"),
    ("keepalives_count=128", "keepalives_count must be a whole number of at most 127"),
    ("statement_cache_size=0", "statement_cache_size is not taken here; set ALGOPLATFORM_PREPARED_STATEMENTS"),
    ("port=hunter2", "port must be a number from 1 to 65535"),
    ("port=0", "port must be a number from 1 to 65535"),
    ("port=1,2,3", "port must be one, or one for each host"),
    ("hunter2", "a parameter behind `?` has no value"),
    ("user=%00", "must be postgresql://user:password@host:port/database"),
]


@pytest.mark.parametrize(("query", "fault"), REFUSED)
def test_refused(query: str, fault: str) -> None:
    """Unsupported parameters are rejected by name before connecting, and the error quotes no value."""
    with pytest.raises(SettingsError) as caught:
        parse(f"postgresql://u:hunter2@db/x?{query}")
    assert str(caught.value).startswith(f"ALGOPLATFORM_DATABASE_URL: {fault}")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("command", [["search"], ["migrate"], ["serve", "--port", "0"]])
def test_refused_by_commands(command: list[str]) -> None:
    """Every command that needs the database reports a wrong URL in one line."""
    code, output = process.told(*command, DATABASE_URL="postgresql://u:hunter2@192.0.2.1/x?channel_binding=require")
    assert (code, output) == (2, "ALGOPLATFORM_DATABASE_URL: channel_binding must be one of disable, prefer\n")


async def test_operators_name(database_url: str) -> None:
    """The URL's application name overrides ours; our statement timeout overrides the URL's."""
    for query, name in (
        ("", "algoplatform"),
        ("&fallback_application_name=spare", "spare"),
        ("&fallback_application_name=spare&application_name=registry-1", "registry-1"),
    ):
        url = f"{database_url}{query}&statement_timeout=1ms&lock_timeout=7s"
        async with Database.open(url) as database, database.connection() as connection:
            shown = [
                await connection.fetchval(f"SHOW {what}")
                for what in ("application_name", "statement_timeout", "lock_timeout")
            ]
        assert shown == [name, "1min", "7s"]


def test_timeout() -> None:
    """The shorter of both connect timeouts applies."""
    for query, seconds in (("", 5), ("connect_timeout=2", 2), ("connect_timeout=9", 5), ("connect_timeout=-1", 5)):
        assert connect_options(f"postgresql://u@db/x?{query}", {}, 5)["timeout"] == seconds


def test_socket_options() -> None:
    """TCP parameters of the URL are set on the socket."""
    address = parse(
        "postgresql://u@db/x?keepalives=1&keepalives_idle=32767&keepalives_count=127&tcp_user_timeout=60000"
    )
    with socket.socket() as made:
        for option in address.socket_options:
            made.setsockopt(*option)
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 32767
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 127
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60000
    off = parse("postgresql://u@db/x?keepalives=0&keepalives_count=0")
    assert [option[2] for option in off.socket_options] == [0]


VARIABLES = {
    "PGSSLMODE": "verify-full",
    "PGTARGETSESSIONATTRS": "standby",
    "PGSSLNEGOTIATION": "direct",
    "PGSSLROOTCERT": "/nowhere",
    "PGSSLCERT": "/nowhere",
    "PGSSLMINPROTOCOLVERSION": "SSLv2",
    "PGGSSLIB": "none",
    "PGHOST": "192.0.2.1",
    "PGPORT": "none",
    "PGUSER": "none",
    "PGDATABASE": "none",
    "PGPASSWORD": "none",
    "PGPASSFILE": "/",
    "PGSERVICE": "none",
    "PGSERVICEFILE": "/",
    "PGOPTIONS": "-c nonsense=1",
    "PGAPPNAME": "none",
    "PGCLIENTENCODING": "GBK",
    "PGTZ": "none",
}


def test_variables_are_not_about_the_own_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service starts with its embedded server, whatever PG* variables are set for another one."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    with process.served("--workers", "2", DATA_DIR=str(home)) as service:
        assert service.get("/readyz").status_code == 200
        assert service.get(f"{IMAGES}/_search").json()["status"] == "0"
        assert service.stop() == 0


def test_variables_of_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an external server the PG* variables apply, as with libpq, where the URL has no value."""
    for name, value in {
        "PGSSLMODE": "require",
        "PGTARGETSESSIONATTRS": "read-write",
        "PGPASSWORD": "p",
        "PGPORT": "7",
    }.items():
        monkeypatch.setenv(name, value)
    addresses, parameters = _read("postgresql://u@db/x")
    assert addresses == [("db", 7)]
    assert (parameters.sslmode.name, parameters.target_session_attrs, parameters.password) == (
        "require",
        "read-write",
        "p",
    )
    _, parameters = _read("postgresql://u:q@db/x?sslmode=disable&target_session_attrs=any")
    assert (parameters.sslmode.name, parameters.target_session_attrs, parameters.password) == ("disable", "any", "q")
