"""Who is logged in: with auth=token the browser keeps the access token in cookies that scripts cannot read."""

import base64
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.middleware import authentication
from algoplatform.domain.access import Caller
from algoplatform.domain.errors import Unauthenticated
from algoplatform.settings import Settings

if TYPE_CHECKING:
    from algoplatform.console.visit import Visit

# A cookie holds 4,096 bytes with its name and attributes.
PIECE: Final = 3500
NAMES: Final = tuple(f"token{at}" for at in range(4))
MAX_TOKEN: Final = PIECE * len(NAMES)


async def caller_of(request: Request, settings: Settings) -> Caller:
    """Return the caller: as the gateway says, or by the token in the cookies; raises Unauthenticated."""
    if settings.auth == "gateway":
        return authentication.caller_of(request)
    token = "".join(request.cookies.get(name, "") for name in NAMES)
    if not token:
        raise Unauthenticated("尚未登录", token_given=False)
    return await verified(request, token)


async def verified(request: Request, token: str) -> Caller:
    """Return the caller that a token names; raises Unauthenticated."""
    state = request.scope["state"]
    caller: Caller = await state["verifier"].caller([b"Bearer " + token.encode("utf-8", "replace")])
    state["caller"] = replace(caller, request_id=state.get("request_id"))
    return authentication.caller_of(request)


def keep(visit: "Visit", response: Response, token: str) -> Response:
    """Set the cookies of a verified token, until it expires."""
    claims = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    seconds = max(1, int(claims["exp"] - time.time()))
    for at, name in enumerate(NAMES):
        if piece := token[at * PIECE : (at + 1) * PIECE]:
            set_cookie(visit, response, name, piece, seconds)
        else:
            response.delete_cookie(name, path=visit.base)
    return response


def set_cookie(visit: "Visit", response: Response, name: str, value: str, seconds: int) -> None:
    """Set a cookie that scripts cannot read, for HTTPS only if the request came by it."""
    is_secure = visit.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path=visit.base, secure=is_secure, httponly=True, samesite="lax")
