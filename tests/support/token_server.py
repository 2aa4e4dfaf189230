"""A token server for docker-registry: it checks a password, and signs tokens with its own certificate."""

import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.service import listening

ISSUER, SERVICE = "test-issuer", "test-registry"


@dataclass
class Asked:
    """A request for a token."""

    authorization: str | None
    scope: str


@dataclass
class TokenServer:
    """A running token server, with the requests it got."""

    bundle: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    basic: str
    port: int = 0
    asked: list[Asked] = field(default_factory=list)

    @property
    def realm(self) -> str:
        """The server's URL."""
        return f"http://127.0.0.1:{self.port}/token"

    def registry_config(self) -> dict[str, Any]:
        """Return the section `auth.token` of a registry's configuration that trusts this server."""
        return {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(self.bundle)}

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, user: str, password: str) -> AsyncIterator[Self]:
        """Run the server."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(key)
        bundle = folder / "bundle.pem"
        bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        own = cls(bundle, key, certificate, f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}")
        async with listening(Starlette(routes=[Route("/token", own._token)])) as port:
            own.port = port
            yield own

    async def _token(self, request: Request) -> Response:
        given = request.headers.get("authorization")
        scope = request.query_params.get("scope", "")
        self.asked.append(Asked(given, scope))
        if given is not None and given != self.basic:
            return Response(status_code=401)
        # Without credentials the token grants nothing.
        scopes = parse_qs(request.url.query).get("scope", []) if given else []
        access = [_access(each) for each in scopes]
        now = int(time.time())
        claims: dict[str, Any] = {"iss": ISSUER, "aud": SERVICE, "sub": "", "jti": str(now), "access": access}
        claims |= {"iat": now, "nbf": now - 60, "exp": now + 300}
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        token = jwt.encode(claims, self.key, "ES256", headers={"x5c": [b64encode(der).decode()]})
        return JSONResponse({"token": token, "expires_in": 300})


def _access(scope: str) -> dict[str, Any]:
    kind, name, actions = scope.split(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return built.sign(key, hashes.SHA256())
