"""Certificates of a test CA."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


class Authority:
    """A CA that issues certificates into a folder, each with its key next to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("authority")
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self.certificate = self._signed("authority", self._key, constraints)

    def issue(self, name: str) -> tuple[Path, Path]:
        """Issue a certificate for a name and 127.0.0.1; return the paths of certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate, file = self._signed(name, key, address), self._folder / f"{name}.key"
        plain = serialization.NoEncryption()
        file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption_algorithm=plain)
        )
        return certificate, file

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> Path:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self._name, _named(name), key.public_key(), x509.random_serial_number())
        builder = (
            builder.not_valid_before(now - _DAY).not_valid_after(now + _DAY).add_extension(extension, critical=True)
        )
        file = self._folder / f"{name}.crt"
        file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return file


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
