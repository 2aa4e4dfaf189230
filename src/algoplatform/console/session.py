"""Who is logged in: with auth=token the browser keeps the access token in cookies that scripts cannot read."""

import base64
import time
from dataclasses import replace
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.middleware import authentication
from algoplatform.domain.access import Caller
from algoplatform.domain.errors import Unauthenticated
from algoplatform.settings import Settings

# A cookie holds 4,096 bytes with its name and attributes.
PIECE: Final = 3500
_NAMES: Final = tuple(f"token{at}" for at in range(4))
MAX_TOKEN: Final = PIECE * len(_NAMES)


async def caller_of(request: Request, settings: Settings) -> Caller:
    """Return the caller: as the gateway says, or by the token in the cookies; raises Unauthenticated."""
    if settings.auth == "gateway":
        return authentication.caller_of(request)
    token = "".join(request.cookies.get(name, "") for name in _NAMES)
    if not token:
        raise Unauthenticated("尚未登录", token_given=False)
    return await verified(request, token)


async def verified(request: Request, token: str) -> Caller:
    """Return the caller that a token names; raises Unauthenticated."""
    state = request.scope["state"]
    caller: Caller = await state["verifier"].caller([b"Bearer " + token.encode("utf-8", "replace")])
    state["caller"] = replace(caller, request_id=state.get("request_id"))
    return authentication.caller_of(request)


def keep(request: Request, response: Response, token: str, path: str) -> None:
    """Set the cookies of a verified token, until it expires."""
    claims = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    seconds = max(1, int(claims["exp"] - time.time()))
    for at, name in enumerate(_NAMES):
        if piece := token[at * PIECE : (at + 1) * PIECE]:
            set_cookie(request, response, name, piece, path, seconds)
        else:
            response.delete_cookie(name, path=path)


def forget(response: Response, path: str) -> None:
    """Delete the cookies of the token."""
    for name in _NAMES:
        response.delete_cookie(name, path=path)


def set_cookie(request: Request, response: Response, name: str, value: str, path: str, seconds: int) -> None:
    """Set a cookie that scripts cannot read, for HTTPS only if the request came by it."""
    is_secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path=path, secure=is_secure, httponly=True, samesite="lax")
