"""Tokens as an identity provider makes them, the keys they are signed with, and a place to fetch those from."""

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
    """Make the RSA key of the tests."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key; each name has its own."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Give the public key in PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(kid: str, **more: Any) -> dict[str, Any]:
    """Give the public P-256 key of this name as a JWK."""
    return {**json.loads(ECAlgorithm.to_jwk(ec_key(kid).public_key())), "kid": kid, "use": "sig", **more}


def rsa_jwk(kid: str) -> dict[str, Any]:
    """Give the public RSA key as a JWK."""
    return {**json.loads(RSAAlgorithm.to_jwk(rsa_key().public_key())), "kid": kid, "use": "sig"}


def claims(**given: Any) -> dict[str, Any]:
    """Make the claims of a platform administrator; None leaves a claim out."""
    standard = {"sub": "alice", "aud": AUDIENCE, "iss": ISSUER, "exp": int(time.time()) + 300, "authority": 1}
    return {name: value for name, value in (standard | given).items() if value is not None}


def token(kid: str = "first", headers: dict[str, Any] | None = None, **given: Any) -> str:
    """Sign a token with the key of this name."""
    return jwt.encode(claims(**given), ec_key(kid), algorithm="ES256", headers={"kid": kid, **(headers or {})})


def bearer(text: str | None = None, **given: Any) -> dict[str, str]:
    """Make the header that shows a token."""
    return {"authorization": f"Bearer {token(**given) if text is None else text}"}


class KeyServer:
    """Where keys are fetched from; counts, and is slow, broken or changed as a test wants."""

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
    """Serve keys on a free port."""
    served = KeyServer()
    async with peer(served.answer) as port:
        served.url = f"http://127.0.0.1:{port}/jwks"
        yield served
