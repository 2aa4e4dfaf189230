"""Verifies a JWT (signature, issuer, audience, lifetime), and reads the caller from its claims."""

import re
from typing import Any, Final

import jwt
import structlog

from algoplatform.auth.jwks import FetchedKeys, Keys, read_key_file
from algoplatform.domain.access import Caller
from algoplatform.domain.errors import BadRequest, Malformed, Unauthenticated, clip
from algoplatform.domain.record.fields import check_integer
from algoplatform.settings import Settings, SettingsError

_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)")
_MAX_TOKEN: Final = 8192
_MAX_TEXT: Final = 255
# Tolerated difference of clocks, in seconds.
_LEEWAY: Final = 10
# The messages for clients; the log has the details.
_WORDS: Final = {
    "format": "令牌格式错误",
    "algorithm": "令牌的签名算法不被接受",
    "key": "令牌的签名密钥未知",
    "signature": "令牌的签名错误",
    "expired": "令牌已过期",
    "early": "令牌尚未生效",
    "audience": "令牌的受众（aud）不是本服务",
    "issuer": "令牌的签发者（iss）不被接受",
}
_KINDS: Final[dict[type[Exception], str]] = {
    jwt.InvalidSignatureError: "signature",
    jwt.ExpiredSignatureError: "expired",
    jwt.ImmatureSignatureError: "early",
    jwt.InvalidAudienceError: "audience",
    jwt.InvalidIssuerError: "issuer",
}
# PyJWT names the claim only in the message of its exceptions.
_NAMED: Final = re.compile(r"\((exp|nbf|iat)\)|(?i:(subject|jwt id))")
_CLAIMS: Final = {"subject": "sub", "jwt id": "jti"}

log = structlog.get_logger()


class Verifier:
    """Turns a verified token into a Caller."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self.keys = keys
        self._settings = settings
        self._required = ["exp", "aud", "iss", settings.actor_claim]

    async def caller(self, authorization: list[bytes]) -> Caller:
        """Verify the token of the Authorization headers; raises Unauthenticated if missing or invalid."""
        token = _token(authorization)
        header = _header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        # `crit` demands unsupported extensions. Keys are looked up by id, never taken from the token.
        if not isinstance(algorithm, str) or not isinstance(kid, str | None) or "crit" in header:
            raise _refused("format", "the header has no alg, a kid that is not a string, or a crit")
        if algorithm not in self._settings.token_algorithms:
            raise _refused("algorithm", f"alg is {clip(algorithm)}")
        return self._caller(await self._claims(token, kid, algorithm))

    async def _claims(self, token: str, kid: str | None, algorithm: str) -> dict[str, Any]:
        key = await self.keys.find(kid, algorithm)
        if key is None:
            named = "the token has no kid, and not exactly one key fits" if kid is None else f"kid is {clip(kid)}"
            raise _refused("key", f"no key for {algorithm}: {named}")
        try:
            try:
                return self._decoded(token, key.key, algorithm)
            except jwt.InvalidSignatureError:
                other = await self.keys.instead_of(key, kid, algorithm)
                if other is None:
                    raise
                return self._decoded(token, other.key, algorithm)
        except Exception as error:  # the library may raise anything for a hostile token
            raise self._failed(error, token) from None

    def _decoded(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._settings.token_audience,
            issuer=self._settings.token_issuer,
            leeway=_LEEWAY,
            options={"require": self._required},
        )
        return claims

    def _failed(self, error: Exception, token: str) -> Unauthenticated:
        if isinstance(error, jwt.MissingRequiredClaimError):
            return _refused_claim(error.claim, "is missing")
        kind = _KINDS.get(type(error))
        if kind == "audience":
            return _refused(kind, f"aud is {_given(token, 'aud')}, not {self._settings.token_audience}")
        if kind == "issuer":
            return _refused(kind, f"iss is {_given(token, 'iss')}, not {self._settings.token_issuer}")
        if kind == "expired":
            return _refused(kind, f"exp is {_given(token, 'exp')}")
        named = _NAMED.search(str(error)) if kind is None and isinstance(error, jwt.InvalidTokenError) else None
        if named:
            return _refused_claim(named[1] or _CLAIMS[named[2].lower()], "is malformed")
        return _refused(kind or "format", type(error).__name__)

    def _caller(self, claims: dict[str, Any]) -> Caller:
        actor = claims[self._settings.actor_claim]
        if not isinstance(actor, str) or not actor:
            raise _refused_claim(self._settings.actor_claim, "is not a string, or is empty")
        if len(actor) > _MAX_TEXT or not actor.isprintable():
            log.warning("token_refused", kind="claim", reason=f"{self._settings.actor_claim} is not a printable name")
            raise BadRequest(f"令牌的声明{self._settings.actor_claim}不是{_MAX_TEXT}个以内的可见字符")
        namespaces = claims.get(self._settings.namespaces_claim)
        listed = [namespaces] if isinstance(namespaces, str) else [] if namespaces is None else namespaces
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise _refused_claim(self._settings.namespaces_claim, "is neither a string nor a list of strings")
        return Caller(self._authority(claims), frozenset(item for item in listed if item), actor)

    def _authority(self, claims: dict[str, Any]) -> int | None:
        given = claims.get(self._settings.authority_claim)
        try:
            return None if given is None else check_integer(given)
        except Malformed:
            raise _refused_claim(self._settings.authority_claim, "is not an integer") from None


def make_verifier(settings: Settings) -> Verifier:
    """Build the verifier for the settings; raises SettingsError if they are incomplete."""
    settings.check_token()
    if settings.jwks_url is not None:
        return Verifier(settings, FetchedKeys(settings.jwks_url.get_secret_value(), settings.jwks_refresh))
    assert settings.key_file is not None
    try:
        return Verifier(settings, read_key_file(settings.key_file))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a public key in PEM, nor a JWKS of public keys"
        raise SettingsError(f"ALGOPLATFORM_KEY_FILE: {settings.key_file}: {reason}") from None


def _token(authorization: list[bytes]) -> str:
    if not authorization:
        raise Unauthenticated("未认证：缺少请求头Authorization: Bearer", token_given=False)
    if len(authorization) > 1:
        raise _refused("format", "several Authorization headers")
    found = _BEARER.fullmatch(authorization[0])
    if found is None or len(found[1]) > _MAX_TOKEN:
        raise _refused("format", f"not `Bearer` followed by a JWT of at most {_MAX_TOKEN} characters")
    return found[1].decode()


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except Exception:  # the library may raise anything for a hostile token
        raise _refused("format", "the header is not a JSON object, has a kid that is not a string, or a crit") from None


def _given(token: str, claim: str) -> str:
    """Return a claim for the log, truncated, from a token whose signature has been verified."""
    return clip(str(jwt.decode(token, options={"verify_signature": False}).get(claim)))


def _refused(kind: str, reason: str) -> Unauthenticated:
    log.warning("token_refused", kind=kind, reason=reason)
    return Unauthenticated(_WORDS[kind], token_given=True)


def _refused_claim(claim: str, fault: str) -> Unauthenticated:
    log.warning("token_refused", kind="claim", reason=f"{claim} {fault}")
    return Unauthenticated(f"令牌的声明{claim}缺失或有误", token_given=True)
