"""Logging in: at an identity provider (authorization code with PKCE), or with a pasted token."""

import hmac
import time
from functools import partial
from typing import Final
from urllib.parse import parse_qsl, urlencode

import jwt
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from algoplatform.auth import code_flow
from algoplatform.console.visit import TOKEN_COOKIES, Visit, page
from algoplatform.domain.errors import AlgoplatformError, BadRequest, Unauthenticated

_BEGUN: Final = "login"
_LOGIN_SECONDS: Final = 600
# A cookie holds 4,096 bytes with its name and attributes.
_PIECE: Final = 3500
_MOST: Final = _PIECE * len(TOKEN_COOKIES)

ROUTES: Final[list[Route]] = []
_page = partial(page, open_to="anyone", routes=ROUTES)


@_page("/login")
async def login(visit: Visit) -> Response:
    """Lead to the identity provider, or show a page to paste a token."""
    to = visit.query_params.get("to", "")
    if visit.settings.oidc_authorize_url is None:
        return visit.render("login.html", to=to, error=None)
    begun = code_flow.begin(visit.settings, _callback_address(visit))
    response = RedirectResponse(begun.address, 303)
    kept = {"state": begun.state, "verifier": begun.verifier, "to": to if len(to) < _PIECE // 3 else ""}
    _set_cookie(visit, response, _BEGUN, urlencode(kept), _LOGIN_SECONDS)
    return response


@_page("/login/token", "POST")
async def paste(visit: Visit) -> Response:
    """Log in with a pasted token."""
    form = dict(await visit.sent())
    token = form.get("token", "").strip().removeprefix("Bearer ").strip()
    if visit.settings.has_login:
        raise BadRequest("请通过身份提供者登录", malformed=False)
    try:
        await visit.verified(token)
    except AlgoplatformError as error:
        return visit.render("login.html", 401, to=form.get("to", ""), error=error)
    return _kept(visit, visit.back(form.get("to", "")), token)


@_page("/callback")
async def callback(visit: Visit) -> Response:
    """Exchange the provider's code for a token, if this browser began the login here."""
    begun = dict(parse_qsl(visit.cookies.get(_BEGUN, "")))
    state = begun.get("state", "")
    if not state or not hmac.compare_digest(state.encode(), visit.query_params.get("state", "").encode()):
        raise BadRequest("登录不是在此浏览器中发起的，或已超过10分钟：请重新登录")
    code = visit.query_params.get("code")
    if code is None:
        raise BadRequest(code_flow.REFUSED)
    token = await code_flow.exchange(visit.settings, _callback_address(visit), code, begun.get("verifier", ""), _MOST)
    try:
        await visit.verified(token)
    except Unauthenticated as error:
        raise BadRequest(f"身份提供者的令牌不能使用：{error.message}", malformed=False) from None
    response = _kept(visit, visit.back(begun.get("to", "")), token)
    response.delete_cookie(_BEGUN, path=visit.base)
    return response


@_page("/logout", "POST")
async def logout(visit: Visit) -> Response:
    """Forget the token, and show a page with a link to log in again."""
    response = visit.message(200, "logged_out", visit.words("logged_out_hint"), to="/login", key="log_in")
    for name in TOKEN_COOKIES:
        response.delete_cookie(name, path=visit.base)
    return response


def _kept(visit: Visit, response: Response, token: str) -> Response:
    """Set the cookies of a verified token, until it expires."""
    claims = jwt.decode(token, options={"verify_signature": False})
    seconds = max(1, int(claims["exp"] - time.time()))
    for at, name in enumerate(TOKEN_COOKIES):
        piece = token[at * _PIECE : (at + 1) * _PIECE]
        # A shorter token than the last one leaves cookies over, which end at once.
        _set_cookie(visit, response, name, piece, seconds if piece else 0)
    return response


def _set_cookie(visit: Visit, response: Response, name: str, value: str, seconds: int) -> None:
    """Set a cookie that scripts cannot read, for HTTPS only if the request came by it."""
    is_secure = visit.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path=visit.base, secure=is_secure, httponly=True, samesite="lax")


def _callback_address(visit: Visit) -> str:
    return f"{visit.url.scheme}://{visit.headers.get('host', '')}{visit.base}/callback"
