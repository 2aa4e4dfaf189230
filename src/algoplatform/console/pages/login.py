"""Logging in: at an identity provider (authorization code with PKCE), or with a pasted token."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from functools import partial
from typing import Final
from urllib.parse import parse_qsl, urlencode

import httpx
import orjson
import structlog
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from algoplatform.auth.provider import HEADERS, read_bounded
from algoplatform.console import session
from algoplatform.console.visit import Visit, page
from algoplatform.domain.errors import AlgoplatformError, BadRequest, Unauthenticated, Unavailable
from algoplatform.proxies import open_client, proxy_for

_BEGUN: Final = "login"
_LOGIN_SECONDS: Final = 600
_EXCHANGE_SECONDS: Final = 10
_REFUSED: Final = "身份提供者拒绝了登录"

log = structlog.get_logger()

ROUTES: Final[list[Route]] = []
_page = partial(page, public=True, routes=ROUTES)


@page("/session", public=True)
async def has_session(visit: Visit) -> Response:
    """Answer whether the caller is logged in: 204 or 401."""
    try:
        await session.caller_of(visit, visit.settings)
    except AlgoplatformError:
        return Response(status_code=401)
    return Response(status_code=204)


@_page("/login")
async def login(visit: Visit) -> Response:
    """Lead to the identity provider, or show a page to paste a token."""
    to = visit.query_params.get("to", "")
    if visit.settings.oidc_authorize_url is None:
        return visit.render("login.html", to=to, error=None)
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": visit.settings.oidc_client_id,
        "redirect_uri": _callback_address(visit),
        "scope": "openid",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    provider = httpx.URL(visit.settings.oidc_authorize_url.get_secret_value())
    response = RedirectResponse(str(provider.copy_merge_params(asked)), 303)
    kept = urlencode({"state": state, "verifier": verifier, "to": to if len(to) < session.PIECE // 3 else ""})
    session.set_cookie(visit, response, _BEGUN, kept, _LOGIN_SECONDS)
    return response


@_page("/login/token", "POST")
async def paste(visit: Visit) -> Response:
    """Log in with a pasted token."""
    form = dict(await visit.sent())
    token = form.get("token", "").strip().removeprefix("Bearer ").strip()
    if visit.settings.has_login:
        raise BadRequest("请通过身份提供者登录", malformed=False)
    try:
        await session.verified(visit, token)
    except AlgoplatformError as error:
        return visit.render("login.html", 401, to=form.get("to", ""), error=error)
    return session.keep(visit, visit.back(form.get("to", "")), token)


@_page("/callback")
async def callback(visit: Visit) -> Response:
    """Exchange the provider's code for a token, if this browser began the login here."""
    begun = dict(parse_qsl(visit.cookies.get(_BEGUN, "")))
    state = begun.get("state", "")
    if not state or not hmac.compare_digest(state.encode(), visit.query_params.get("state", "").encode()):
        raise BadRequest("登录不是在此浏览器中发起的，或已超过10分钟：请重新登录")
    if "code" not in visit.query_params:
        raise BadRequest(_REFUSED)
    token = await _exchanged(visit, visit.query_params["code"], begun.get("verifier", ""))
    try:
        await session.verified(visit, token)
    except Unauthenticated as error:
        raise BadRequest(f"身份提供者的令牌不能使用：{error.message}", malformed=False) from None
    response = session.keep(visit, visit.back(begun.get("to", "")), token)
    response.delete_cookie(_BEGUN, path=visit.base)
    return response


@_page("/logout", "POST")
async def logout(visit: Visit) -> Response:
    """Forget the token, and show a page with a link to log in again."""
    response = visit.message(200, "logged_out", visit.words("logged_out_hint"), link=("/login", "log_in"))
    for name in session.NAMES:
        response.delete_cookie(name, path=visit.base)
    return response


def _callback_address(visit: Visit) -> str:
    return f"{visit.url.scheme}://{visit.headers.get('host', '')}{visit.base}/callback"


async def _exchanged(visit: Visit, code: str, verifier: str) -> str:
    """Return the access token for a code; raises BadRequest if the provider gives none, Unavailable if it is out of reach."""
    status, content = await _answer(
        visit, {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
    )
    try:
        token = orjson.loads(content)["access_token"] if status == 200 else None
    except (ValueError, KeyError, TypeError):
        token = None
    if not isinstance(token, str) or not token.isascii() or len(token) > session.MAX_TOKEN:
        log.warning("login_failed", reason=f"the token endpoint answered {status} without a usable token")
        raise BadRequest(_REFUSED)
    return token


async def _answer(visit: Visit, form: dict[str, str]) -> tuple[int, bytes]:
    settings = visit.settings
    assert settings.oidc_token_url is not None and settings.oidc_client_id is not None
    address = httpx.URL(settings.oidc_token_url.get_secret_value())
    form |= {"redirect_uri": _callback_address(visit), "client_id": settings.oidc_client_id}
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
