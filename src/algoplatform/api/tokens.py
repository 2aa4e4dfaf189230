"""Checks a JWT: how it is signed, by whom, for whom, until when, and what it says of its bearer."""

import re
from typing import Any, Final

import jwt

from algoplatform.api.keys import FetchedKeys, Keys, read_key_file
from algoplatform.domain.access import Caller
from algoplatform.domain.errors import Malformed, Unauthenticated
from algoplatform.domain.fields import check_integer
from algoplatform.settings import Settings, SettingsError

_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)")
_MAX_TOKEN: Final = 8192
_MAX_TEXT: Final = 255
_REQUIRED: Final = ["exp", "aud", "iss", "sub"]


class Verifier:
    """Turns a token into a caller."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self.keys = keys
        self._settings = settings

    async def caller(self, authorization: list[bytes]) -> Caller:
        """Check the token of the Authorization headers; Unauthenticated unless everything about it is right."""
        token = _token(authorization)
        header = _header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        # `crit` asks for rules that are not known here; a key is found by its name only, never taken from the token.
        if not isinstance(algorithm, str) or not isinstance(kid, str | None):
            raise _invalid()
        if algorithm not in self._settings.token_algorithms or "crit" in header:
            raise _invalid()
        key = await self.keys.find(kid, algorithm)
        if key is None:
            raise _invalid()
        return self._caller(self._claims(token, key.key, algorithm))

    def _claims(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        settings = self._settings
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=settings.token_audience,
                issuer=settings.token_issuer,
                leeway=settings.token_leeway,
                options={"require": _REQUIRED},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("令牌已过期", token_given=True) from None
        except Exception:  # whatever a hostile token makes the library raise, it is not a valid one
            raise _invalid() from None
        return claims

    def _caller(self, claims: dict[str, Any]) -> Caller:
        subject = claims["sub"]
        if not subject or len(subject) > _MAX_TEXT or not subject.isprintable():
            raise _invalid()
        authority = claims.get(self._settings.authority_claim)
        namespaces = claims.get(self._settings.namespaces_claim)
        listed = [namespaces] if isinstance(namespaces, str) else [] if namespaces is None else namespaces
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise _invalid()
        try:
            known = None if authority is None else check_integer(authority)
        except Malformed:
            raise _invalid() from None
        return Caller(known, frozenset(item for item in listed if item), subject)


def make_verifier(settings: Settings) -> Verifier:
    """Make the verifier that the settings ask for; SettingsError where they do not suffice."""
    settings.check_token()
    if settings.jwks_url is not None:
        return Verifier(settings, FetchedKeys(settings.jwks_url.get_secret_value(), settings.jwks_refresh))
    assert settings.key_file is not None
    try:
        return Verifier(settings, read_key_file(settings.key_file))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a public key in PEM, nor a JWKS of such keys"
        raise SettingsError(f"ALGOPLATFORM_KEY_FILE: {settings.key_file}: {reason}") from None


def _token(authorization: list[bytes]) -> str:
    if not authorization:
        raise Unauthenticated("未认证：缺少请求头Authorization: Bearer", token_given=False)
    found = _BEARER.fullmatch(authorization[0]) if len(authorization) == 1 else None
    if found is None or len(found[1]) > _MAX_TOKEN:
        raise _invalid()
    return found[1].decode()


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except Exception:  # as above
        raise _invalid() from None


def _invalid() -> Unauthenticated:
    return Unauthenticated("令牌无效", token_given=True)
