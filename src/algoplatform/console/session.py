"""Who is logged in: with auth=token the browser keeps the access token in cookies that scripts cannot read."""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from algoplatform.api.middleware import authentication
from algoplatform.auth.provider import HEADERS, read_bounded
from algoplatform.console.reading import read_form
from algoplatform.domain.access import Caller
from algoplatform.domain.errors import AlgoplatformError, BadRequest, Unauthenticated, Unavailable
from algoplatform.proxies import open_client, proxy_for
from algoplatform.settings import Settings

if TYPE_CHECKING:
    from algoplatform.console.site import Visit

# A cookie holds 4,096 bytes with its name and attributes.
_PIECE: Final = 3500
_MOST_PIECES: Final = 4
_LOGIN: Final = "login"
_LOGIN_SECONDS: Final = 600
_EXCHANGE_SECONDS: Final = 10

log = structlog.get_logger()


async def caller_of(request: Request, settings: Settings) -> Caller:
    """Return the caller: as the gateway says, or by the token in the cookies; raises Unauthenticated."""
    if settings.auth == "gateway":
        return authentication.caller_of(request)
    token = "".join(request.cookies.get(_name(at), "") for at in range(_MOST_PIECES))
    if not token:
        raise Unauthenticated("尚未登录", token_given=False)
    return await _verified(request, token)


async def _verified(request: Request, token: str) -> Caller:
    state = request.scope["state"]
    caller: Caller = await state["verifier"].caller([b"Bearer " + token.encode("utf-8", "replace")])
    state["caller"] = replace(caller, request_id=state.get("request_id"))
    return authentication.caller_of(request)


def ask_to_log_in(visit: "Visit", error: Unauthenticated) -> Response:
    """Lead to the login, or answer 401 to what is no navigation."""
    if visit.request.method in ("GET", "HEAD") and not visit.is_part:
        mode = visit.request.headers.get("sec-fetch-mode", "navigate")
        if mode == "navigate":
            return visit.redirect("/login", {"to": visit.address})
    return visit.render("expired.html", 401, error=error)


async def session(visit: "Visit") -> Response:
    """Answer whether the caller is logged in: 204 or 401."""
    try:
        await caller_of(visit.request, visit.settings)
    except AlgoplatformError:
        return Response(status_code=401)
    return Response(status_code=204)


async def login(visit: "Visit") -> Response:
    """Lead to the identity provider, or show a page to paste a token."""
    _require_tokens(visit)
    to = visit.request.query_params.get("to", "")
    if not visit.settings.has_login:
        return visit.render("login.html", to=to, error=None)
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    settings = visit.settings
    assert settings.oidc_authorize_url is not None
    asked = {
        "response_type": "code",
        "client_id": settings.oidc_client_id,
        "redirect_uri": _callback_address(visit),
        "scope": "openid",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    provider = settings.oidc_authorize_url.get_secret_value()
    response = RedirectResponse(f"{provider}{'&' if urlsplit(provider).query else '?'}{urlencode(asked)}", 303)
    kept = urlencode({"state": state, "verifier": verifier, "to": to if len(to) < _PIECE // 3 else ""})
    _set_cookie(visit, response, _LOGIN, kept, _LOGIN_SECONDS)
    return response


async def paste(visit: "Visit") -> Response:
    """Log in with a pasted token."""
    _require_tokens(visit)
    form = dict(await read_form(visit))
    to = form.get("to", "")
    token = form.get("token", "").strip().removeprefix("Bearer ").strip()
    if visit.settings.has_login:
        raise BadRequest("请通过身份提供者登录", malformed=False)
    try:
        await _verified(visit.request, token)
    except AlgoplatformError as error:
        return visit.render("login.html", 401, to=to, error=error)
    return _logged_in(visit, token, to)


async def callback(visit: "Visit") -> Response:
    """Exchange the provider's code for a token, if this browser began the login here."""
    _require_tokens(visit)
    begun = dict(parse_qsl(visit.request.cookies.get(_LOGIN, "")))
    given = visit.request.query_params
    state = begun.get("state", "")
    if not state or not hmac.compare_digest(state.encode(), given.get("state", "").encode()):
        raise BadRequest("登录不是在此浏览器中发起的，或已超过10分钟：请重新登录")
    if "code" not in given:
        raise BadRequest("身份提供者拒绝了登录")
    token = await _exchanged(visit, given["code"], begun.get("verifier", ""))
    try:
        await _verified(visit.request, token)
    except Unauthenticated as error:
        raise BadRequest(f"身份提供者的令牌不能使用：{error.message}", malformed=False) from None
    response = _logged_in(visit, token, begun.get("to", ""))
    response.delete_cookie(_LOGIN, path=visit.base)
    return response


async def logout(visit: "Visit") -> Response:
    """Forget the token, and show a page with a link to log in again."""
    _require_tokens(visit)
    if visit.request.method != "POST":
        raise HTTPException(405)
    response = visit.render("logout.html")
    for at in range(_MOST_PIECES):
        response.delete_cookie(_name(at), path=visit.base)
    return response


PAGES: Final[tuple[tuple[str, tuple[str, ...], Any], ...]] = (
    ("/session", ("GET",), session),
    ("/login", ("GET",), login),
    ("/login/token", ("POST",), paste),
    ("/callback", ("GET",), callback),
    ("/logout", ("GET", "POST"), logout),
)


def _require_tokens(visit: "Visit") -> None:
    from algoplatform.console.site import PageNotFound

    if visit.settings.auth == "gateway":
        raise PageNotFound


def _callback_address(visit: "Visit") -> str:
    host = visit.request.headers.get("host", "")
    return f"{visit.request.url.scheme}://{host}{visit.base}/callback"


async def _exchanged(visit: "Visit", code: str, verifier: str) -> str:
    settings = visit.settings
    assert settings.oidc_token_url is not None and settings.oidc_client_id is not None
    address = httpx.URL(settings.oidc_token_url.get_secret_value())
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": _callback_address(visit),
        "client_id": settings.oidc_client_id,
        "code_verifier": verifier,
    }
    secret = settings.oidc_client_secret
    login = httpx.BasicAuth(settings.oidc_client_id, secret.get_secret_value()) if secret else httpx.USE_CLIENT_DEFAULT
    try:
        async with (
            asyncio.timeout(_EXCHANGE_SECONDS),
            open_client(address, proxy_for(address), timeout=_EXCHANGE_SECONDS, headers=HEADERS) as client,
            client.stream("POST", address, data=form, auth=login) as answer,
        ):
            content = await read_bounded(answer)
    except (httpx.HTTPError, TimeoutError) as error:
        log.warning("login_failed", reason=type(error).__name__)
        raise Unavailable from None
    except ValueError:
        content = b""
    try:
        token = orjson.loads(content)["access_token"] if answer.status_code == 200 else None
    except (ValueError, KeyError, TypeError):
        token = None
    if not isinstance(token, str) or not token.isascii() or len(token) > _PIECE * _MOST_PIECES:
        log.warning("login_failed", reason=f"the token endpoint answered {answer.status_code} without a usable token")
        raise BadRequest("身份提供者拒绝了登录")
    return token


def _logged_in(visit: "Visit", token: str, to: str) -> Response:
    response = RedirectResponse(to if visit.is_own(to) else visit.url("/images"), 303)
    claims = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    seconds = max(1, int(claims["exp"] - time.time()))
    for at in range(_MOST_PIECES):
        piece = token[at * _PIECE : (at + 1) * _PIECE]
        if piece:
            _set_cookie(visit, response, _name(at), piece, seconds)
        else:
            response.delete_cookie(_name(at), path=visit.base)
    return response


def _name(at: int) -> str:
    return f"token{at}"


def _set_cookie(visit: "Visit", response: Response, name: str, value: str, seconds: int) -> None:
    is_secure = visit.request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path=visit.base, secure=is_secure, httponly=True, samesite="lax")
