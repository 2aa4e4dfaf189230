"""TLS and TCP parameters of a URL, on connections to a real server."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from algoplatform.domain.errors import Unavailable
from algoplatform.storage.postgres.pool import Database
from tests.support.tls import make_certificate, relayed


@pytest.fixture
async def address(database_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of the test's database over TCP and TLS, with a certificate for localhost."""
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with relayed(database_url, make_certificate(tmp_path, "localhost")) as port:
        yield f"postgresql://algoplatform@localhost:{port}/{name}"


async def _is_encrypted(url: str) -> bool:
    async with Database.open(url) as database, database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
        return connection._transport.get_extra_info("ssl_object") is not None  # type: ignore[attr-defined]  # no public API


@pytest.mark.parametrize(
    ("query", "is_encrypted"),
    [
        ("", True),
        ("sslmode=disable", False),
        ("sslmode=allow", False),
        ("sslmode=prefer", True),
        ("sslmode=require", True),
        ("ssl=true&channel_binding=prefer", True),
        ("sslmode=verify-full&sslrootcert={0}/localhost.crt", True),
        ("sslmode=verify-ca&sslrootcert={0}/localhost.crt&ssl_min_protocol_version=TLSv1.3", True),
    ],
)
async def test_modes(address: str, tmp_path: Path, query: str, is_encrypted: bool) -> None:
    """The connection is encrypted as the URL demands."""
    assert await _is_encrypted(f"{address}?{query.format(tmp_path)}") is is_encrypted


async def test_certificate_of_another(address: str, tmp_path: Path) -> None:
    """A server without the trusted certificate is rejected."""
    other = make_certificate(tmp_path, "other.example")
    for query in (f"sslmode=verify-full&sslrootcert={other}", f"sslmode=verify-ca&sslrootcert={other}"):
        with pytest.raises(Unavailable):
            await _is_encrypted(f"{address}?{query}")
    with pytest.raises(Unavailable):
        by_number = address.replace("localhost", "127.0.0.1")
        await _is_encrypted(f"{by_number}?sslmode=verify-full&sslrootcert={tmp_path}/localhost.crt")


async def test_variables_count_elsewhere(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate from the PG* variables is used, as libpq does."""
    with monkeypatch.context() as patched:
        patched.setenv("PGSSLMODE", "verify-full")
        patched.setenv("PGSSLROOTCERT", str(tmp_path / "localhost.crt"))
        assert await _is_encrypted(address)


async def test_kernel_options(address: str) -> None:
    """The kernel's keepalive options are those of the URL."""
    url = f"{address}?keepalives=1&keepalives_idle=17&keepalives_interval=3&keepalives_count=2&tcp_user_timeout=5000"
    async with Database.open(url) as database, database.connection() as connection:
        made = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # as above
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        assert [made.getsockopt(socket.IPPROTO_TCP, name) for name in names] == [17, 3, 2, 5000]
