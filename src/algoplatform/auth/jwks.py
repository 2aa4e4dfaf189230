"""The public keys that verify tokens, from a file or from a JWKS URL that is refreshed."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import httpx
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK

from algoplatform.auth.provider import HEADERS, read_bounded
from algoplatform.domain.errors import Unavailable
from algoplatform.proxies import open_client, proxy_for
from algoplatform.settings import SettingsError

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_MIN_RSA_BITS: Final = 2048
_FETCH_SECONDS: Final = 5.0
# Minimum between fetches for unknown keys: tokens with invented key ids must not flood the URL with requests.
_FLOOR_SECONDS: Final = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, its id if it has one, and the algorithms that it may verify."""

    kid: str | None
    key: Any
    algorithms: frozenset[str]


class Keys:
    """A fixed set of keys."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = keys

    async def __aenter__(self) -> Self:
        """Start refreshing the keys, where a subclass does so."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop refreshing the keys."""

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key with this id, or the only candidate if the token or the key has no id; else None."""
        fit = [key for key in self._keys if algorithm in key.algorithms]
        named = [key for key in fit if kid is not None and key.kid == kid]
        nameless = [key for key in fit if kid is None or key.kid is None]
        if named:
            return named[0]
        return nameless[0] if len(nameless) == 1 else None

    async def instead_of(self, key: Key, kid: str | None, algorithm: str) -> Key | None:
        """Return another key to try if the signature does not match `key`; None if there is none."""
        return None


class FetchedKeys(Keys):
    """The keys of a JWKS URL.

    They are fetched again when older than `refresh` seconds, and when a token may need a newer key, but then
    not within `floor` seconds of the last fetch. One fetch runs at a time; if it fails, the old keys stay.
    """

    def __init__(self, url: str, refresh: float, floor: float = _FLOOR_SECONDS) -> None:
        super().__init__(())
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL:
            raise SettingsError("ALGOPLATFORM_JWKS_URL: is not a valid URL") from None
        # Read the proxy settings at startup, where an operator sees their errors.
        self._proxy = proxy_for(self._url)
        self._client = open_client(self._url, self._proxy, timeout=_FETCH_SECONDS, headers=HEADERS)
        self._refresh = refresh
        self._floor = floor
        self._asked = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def __aexit__(self, *error: object) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._client.aclose()

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key; waits for a fetch only if none fits.

        Raises Unavailable if no fetch has succeeded yet.
        """
        found = await super().find(kid, algorithm)
        if found is None:
            await self._fetched()
            found = await super().find(kid, algorithm)
        elif time.monotonic() - self._asked > self._refresh:
            self._fetch()
        if not self._keys:
            raise Unavailable
        return found

    async def instead_of(self, key: Key, kid: str | None, algorithm: str) -> Key | None:
        """Fetch the keys again and return a new match, unless `key` matched by id, which rules out others."""
        if kid is not None and kid == key.kid:
            return None
        await self._fetched()
        found = await super().find(kid, algorithm)
        return found if found is not key else None

    async def _fetched(self) -> None:
        """Wait for the current fetch or a new one, unless the last began less than `floor` seconds ago."""
        fetching = self._fetching is not None and not self._fetching.done()
        if fetching or time.monotonic() - self._asked > self._floor:
            # Shielded, as other requests share the fetch if this one is cancelled.
            await asyncio.shield(self._fetch())

    def _fetch(self) -> "asyncio.Task[None]":
        if self._fetching is None or self._fetching.done():
            self._asked = time.monotonic()
            # An empty context: the fetch is shared, so its log lines must not carry the request id of its first caller.
            self._fetching = asyncio.create_task(self._load(), context=Context())
        return self._fetching

    async def _load(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                keys = await asyncio.to_thread(parse_jwks, await self._read())
        except (httpx.HTTPError, OSError, ValueError) as error:
            proxy = self._proxy.variable if self._proxy else None
            log.warning("jwks_unavailable", error=type(error).__name__, proxy=proxy)
        else:
            self._keys = keys

    async def _read(self) -> bytes:
        async with self._client.stream("GET", self._url) as answer:
            answer.raise_for_status()
            return await read_bounded(answer)


def read_key_file(path: Path) -> Keys:
    """Read a PEM public key or a JWKS from a file; raises ValueError if it is neither."""
    content = path.read_bytes()
    if content.lstrip().startswith(b"{"):
        return Keys(parse_jwks(content))
    return Keys([_usable(None, load_pem_public_key(content))])


def parse_jwks(content: bytes) -> Sequence[Key]:
    """Parse a JWKS and skip keys that cannot verify tokens; raises ValueError if none is left."""
    data = orjson.loads(content)
    listed = data.get("keys") if isinstance(data, dict) else None
    keys = list(_keys(listed)) if isinstance(listed, list) else []
    if not keys:
        raise ValueError("no usable public key")
    return keys


def _keys(listed: Iterable[Any]) -> Iterable[Key]:
    for jwk in listed:
        try:
            key = _key(jwk)
        except Exception:  # noqa: S112 - the library may raise anything for a malformed key
            continue
        if key.algorithms:
            yield key


def _key(jwk: dict[str, Any]) -> Key:
    kid, algorithm = jwk.get("kid"), jwk.get("alg")
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        raise ValueError("not for signatures")
    key = _usable(kid if isinstance(kid, str) else None, PyJWK.from_dict(jwk).key)
    return key if algorithm is None else replace(key, algorithms=key.algorithms & {algorithm})


def _usable(kid: str | None, key: object) -> Key:
    """Restrict a public key to the algorithms of its type, so that it is never used as an HMAC secret.

    Raises ValueError for keys of other types, or RSA keys that are too short.
    """
    if isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return Key(kid, key, _RSA)
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return Key(kid, key, frozenset({_CURVES[key.curve.name]}))
    if isinstance(key, Ed25519PublicKey):
        return Key(kid, key, frozenset({"EdDSA"}))
    raise ValueError("not a public key of RSA (2048 bits or more), P-256, P-384, P-521 or Ed25519")
