"""Who asks: read off a request's token before anything else of it, by ALGOPLATFORM_AUTH=token; else whoever stands in front vouches."""

import re
from typing import Any, Final

import jwt
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from algoplatform.api.errors import refuse
from algoplatform.api.keys import FetchedKeys, Keys, read_key_file
from algoplatform.domain.access import TRUSTED, Caller
from algoplatform.domain.errors import AlgoplatformError, Malformed, Unauthenticated
from algoplatform.domain.fields import check_integer
from algoplatform.settings import Settings, SettingsError

GUARDED: Final = "/algoPlatform"
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


class Authentication:
    """Pure ASGI: lets only valid tokens through to what is guarded, unknown paths below it included."""

    def __init__(self, app: ASGIApp, verifier: Verifier, *, always_200: bool) -> None:
        self._app = app
        self._verifier = verifier
        self._always_200 = always_200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Establish the caller, or answer -401 before a byte of the body is read."""
        if scope["type"] == "http" and GUARDED in scope["path"]:
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            try:
                scope.setdefault("state", {})["caller"] = await self._verifier.caller(given)
            except AlgoplatformError as error:
                await refuse(error, scope, receive, send, always_200=self._always_200)
                return
        await self._app(scope, receive, send)


def caller_of(request: Request) -> Caller:
    """Give who asks; a route that was reached past the check has none, and refuses."""
    if request.app.state.runtime.settings.auth == "gateway":
        return TRUSTED
    caller = request.scope["state"].get("caller")
    if not isinstance(caller, Caller):
        raise Unauthenticated("未认证", token_given=False)
    return caller


def verifier(settings: Settings) -> Verifier | None:
    """Make the verifier that the settings ask for; SettingsError where they do not suffice."""
    if settings.auth != "token":
        return None
    settings.check_token()
    if settings.jwks_url is not None:
        return Verifier(settings, FetchedKeys(settings.jwks_url, settings.jwks_refresh))
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
