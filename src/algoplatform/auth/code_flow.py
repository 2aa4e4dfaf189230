"""Logging in at an identity provider: the authorization code flow of OpenID Connect, with PKCE (RFC 7636)."""

import asyncio
import base64
import hashlib
import secrets
from typing import Final, NamedTuple

import httpx
import orjson
import structlog

from algoplatform.auth.provider import HEADERS, read_bounded
from algoplatform.domain.errors import BadRequest, Unavailable
from algoplatform.proxies import open_client, proxy_for
from algoplatform.settings import Settings

_EXCHANGE_SECONDS: Final = 10
REFUSED: Final = "身份提供者拒绝了登录"

log = structlog.get_logger()


class Begun(NamedTuple):
    """A login that has begun: the provider's URL to visit, and the values that the browser keeps until it returns."""

    address: str
    state: str
    verifier: str


def check_client(settings: Settings) -> None:
    """Raise SettingsError if the proxy or the certificates for the token endpoint are unusable."""
    assert settings.oidc_token_url is not None
    address = httpx.URL(settings.oidc_token_url.get_secret_value())
    open_client(address, proxy_for(address))


def begin(settings: Settings, callback: str) -> Begun:
    """Begin a login, after which the provider redirects to the URL `callback`."""
    assert settings.oidc_authorize_url is not None
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": settings.oidc_client_id,
        "redirect_uri": callback,
        "scope": "openid",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    provider = httpx.URL(settings.oidc_authorize_url.get_secret_value())
    return Begun(str(provider.copy_merge_params(asked)), state, verifier)


async def exchange(settings: Settings, callback: str, code: str, verifier: str, limit: int) -> str:
    """Return the access token for a code, of at most `limit` bytes.

    Raises BadRequest if the provider returns no such token, Unavailable if it cannot be reached.
    """
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": callback}
    status, content = await _answer(settings, form)
    try:
        token = orjson.loads(content)["access_token"] if status == 200 else None
    except (ValueError, KeyError, TypeError):
        token = None
    if not isinstance(token, str) or not token.isascii() or len(token) > limit:
        log.warning("login_failed", reason=f"the token endpoint answered {status} without a usable token")
        raise BadRequest(REFUSED)
    return token


async def _answer(settings: Settings, form: dict[str, str]) -> tuple[int, bytes]:
    assert settings.oidc_token_url is not None and settings.oidc_client_id is not None
    address = httpx.URL(settings.oidc_token_url.get_secret_value())
    form |= {"client_id": settings.oidc_client_id}
    secret = settings.oidc_client_secret
    login = httpx.BasicAuth(settings.oidc_client_id, secret.get_secret_value()) if secret else httpx.USE_CLIENT_DEFAULT
    try:
        async with (
            asyncio.timeout(_EXCHANGE_SECONDS),
            open_client(address, proxy_for(address), timeout=_EXCHANGE_SECONDS, headers=HEADERS) as client,
            client.stream("POST", address, data=form, auth=login) as answer,
        ):
            return answer.status_code, await read_bounded(answer)
    except ValueError:
        return 200, b""
    except (httpx.HTTPError, TimeoutError) as error:
        log.warning("login_failed", reason=type(error).__name__)
        raise Unavailable from None
