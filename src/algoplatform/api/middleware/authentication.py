"""Authentication: a token, checked before the body is read, or the headers of a trusted gateway.

`ALGOPLATFORM_AUTH=token` selects the token.
"""

from collections.abc import MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from algoplatform.api.http.errors import refuse
from algoplatform.domain.access import Caller
from algoplatform.domain.errors import AlgoplatformError, BadRequest, Malformed, Unauthenticated
from algoplatform.domain.record.fields import check_integer
from algoplatform.settings import Settings

if TYPE_CHECKING:
    from algoplatform.auth.tokens import Verifier

GUARDED: Final = "/algoPlatform"
_ACTOR: Final = 255


class Authentication:
    """Pure ASGI middleware: requires a valid token below /algoPlatform, even for unknown paths."""

    def __init__(self, app: ASGIApp, verifier: "Verifier") -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and GUARDED in scope["path"]:
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            try:
                await authenticated(scope.setdefault("state", {}), self._verifier, given)
            except AlgoplatformError as error:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)


async def authenticated(state: MutableMapping[str, Any], verifier: "Verifier", given: list[bytes]) -> Caller:
    """Return the caller that a token names, and keep it for the request; raises Unauthenticated."""
    caller = replace(await verifier.caller(given), request_id=state.get("request_id"))
    state["caller"] = caller
    return caller


def caller_of(request: Request) -> Caller:
    """Return the caller; raise Unauthenticated if the request bypassed the middleware."""
    state = request.scope.setdefault("state", {})
    if "caller" not in state:
        state["caller"] = _vouched(request)
    caller: Caller = state["caller"]
    return caller


def _vouched(request: Request) -> Caller:
    """Return the caller by the gateway's headers: with permissions if settings name headers for these, else trusted."""
    settings: Settings = request.scope["state"]["runtime"].settings
    if settings.auth != "gateway":
        raise Unauthenticated("未认证", token_given=False)
    request_id = request.scope["state"].get("request_id")
    actor = _text(request, settings.actor_header)
    if actor is not None and len(actor) > _ACTOR:
        raise BadRequest(f"请求头{settings.actor_header}超过{_ACTOR}个字符")
    if not settings.authority_header and not settings.namespaces_header:
        return Caller(None, frozenset(), actor, trusted=True, request_id=request_id)
    namespaces = _text(request, settings.namespaces_header) or ""
    listed = frozenset(filter(None, map(str.strip, namespaces.split(","))))
    return Caller(_authority(request, settings.authority_header), listed, actor, request_id=request_id)


def _authority(request: Request, header: str) -> int | None:
    text = _text(request, header)
    try:
        return None if text is None else check_integer(text)
    except Malformed as error:
        raise BadRequest(f"请求头{header}{error}") from None


def _text(request: Request, header: str) -> str | None:
    """Return a header that the gateway sets; raise BadRequest if a client could have supplied it."""
    given = request.headers.getlist(header) if header else []
    if len(given) > 1:
        # The client may have sent one of them, and there is no way to tell which.
        raise BadRequest(f"请求头{header}重复", malformed=False)
    try:
        text = given[0].strip(" \t").encode("latin-1").decode() if given else ""
    except UnicodeDecodeError:
        raise BadRequest(f"请求头{header}不是UTF-8编码") from None
    if not text.isprintable():
        raise BadRequest(f"请求头{header}含有不可见字符")
    return text or None


def verifier(settings: Settings) -> "Verifier | None":
    """Return the verifier, None unless tokens are used; raise SettingsError if settings are missing."""
    if settings.auth != "token":
        return None
    # Slow to import, and not needed behind a gateway.
    from algoplatform.auth.tokens import make_verifier

    return make_verifier(settings)
