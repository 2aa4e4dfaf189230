"""PostgreSQL over TLS: a relay that terminates TLS in front of a Unix socket, and its certificates."""

import asyncio
import datetime
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support.peers import peer

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def make_certificate(folder: Path, host: str) -> Path:
    """Write a self-signed certificate and its key, in one file each."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}.crt"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    file.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file


@asynccontextmanager
async def relayed(dsn: str, certificate: Path) -> AsyncIterator[int]:
    """Relay a port to the Unix socket of a URL, over TLS if the client requests it."""
    where = parse_qs(dsn.partition("?")[2])
    path = f"{where['host'][0]}/.s.PGSQL.{where['port'][0]}"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(8)
        if first == _SSL_REQUEST:
            writer.write(b"S")
            try:
                await writer.start_tls(context)
            except (OSError, ssl.SSLError):
                return
            first = b""
        theirs, ours = await asyncio.open_unix_connection(path)
        ours.write(first)
        await asyncio.gather(_pass_on(reader, ours), _pass_on(theirs, writer))

    async with peer(serve) as port:
        yield port


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
