"""Tokens of an identity provider, their signing keys, and a server for the keys."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.peers import peer

AUDIENCE = "algoplatform"
ISSUER = "https://id.example"
SETTINGS: dict[str, Any] = {"auth": "token", "token_audience": AUDIENCE, "token_issuer": ISSUER}


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the RSA key of the tests."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return a P-256 key, one per name."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key in PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(kid: str, **more: Any) -> dict[str, Any]:
    """Return the public P-256 key of this name as a JWK."""
    return {**json.loads(ECAlgorithm.to_jwk(ec_key(kid).public_key())), "kid": kid, "use": "sig", **more}


def rsa_jwk(kid: str) -> dict[str, Any]:
    """Return the public RSA key as a JWK."""
    return {**json.loads(RSAAlgorithm.to_jwk(rsa_key().public_key())), "kid": kid, "use": "sig"}


def claims(**given: Any) -> dict[str, Any]:
    """Return the claims of a platform administrator; None omits a claim."""
    standard = {"sub": "alice", "aud": AUDIENCE, "iss": ISSUER, "exp": int(time.time()) + 300, "authority": 1}
    return {name: value for name, value in (standard | given).items() if value is not None}


def token(kid: str = "first", headers: dict[str, Any] | None = None, **given: Any) -> str:
    """Sign a token with the key of this name."""
    return jwt.encode(claims(**given), ec_key(kid), algorithm="ES256", headers={"kid": kid, **(headers or {})})


def bearer(text: str | None = None, **given: Any) -> dict[str, str]:
    """Return the Authorization header with a token."""
    return {"authorization": f"Bearer {token(**given) if text is None else text}"}


class KeyServer:
    """A key server that counts requests, and can be slow, broken or changed."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [jwk("first")]
        self.asked = 0
        self.delay = 0.0
        self.status = 200
        self.location = ""
        self.url = ""
        self.head = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked += 1
        await asyncio.sleep(self.delay)
        body = json.dumps({"keys": self.keys}).encode()
        lines = (f"HTTP/1.1 {self.status} X", "Connection: close", f"Content-Length: {len(body)}")
        redirect = (f"Location: {self.location}",) if self.location else ()
        writer.write("\r\n".join((*lines, *redirect, "", "")).encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def key_server() -> AsyncIterator[KeyServer]:
    """Run a key server on a free port."""
    served = KeyServer()
    async with peer(served.answer) as port:
        served.url = f"http://127.0.0.1:{port}/jwks"
        yield served
