"""Who asks: read off a request's token before anything else of it, by ALGOPLATFORM_AUTH=token; else whoever stands in front vouches."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from algoplatform.api.errors import refuse
from algoplatform.domain.access import TRUSTED, Caller
from algoplatform.domain.errors import AlgoplatformError, BadRequest, Unauthenticated
from algoplatform.settings import Settings

if TYPE_CHECKING:
    from algoplatform.api.tokens import Verifier

GUARDED: Final = "/algoPlatform"
_ACTOR: Final = 255


class Authentication:
    """Pure ASGI: lets only valid tokens through to what is guarded, unknown paths below it included."""

    def __init__(self, app: ASGIApp, verifier: "Verifier", *, always_200: bool) -> None:
        self._app = app
        self._verifier = verifier
        self._always_200 = always_200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Establish the caller, or answer -401 before a byte of the body is read."""
        if scope["type"] == "http" and GUARDED in scope["path"]:
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            try:
                state = scope.setdefault("state", {})
                caller = await self._verifier.caller(given)
                state["caller"] = replace(caller, request_id=state.get("request_id"))
            except AlgoplatformError as error:
                await refuse(error, scope, receive, send, always_200=self._always_200)
                return
        await self._app(scope, receive, send)


def caller_of(request: Request) -> Caller:
    """Give who asks; a route that was reached past the check has none, and refuses."""
    state = request.scope.setdefault("state", {})
    caller = state.get("caller")
    if caller is None:
        caller = state["caller"] = _vouched(request)
    assert isinstance(caller, Caller)
    return caller


def _vouched(request: Request) -> Caller:
    settings: Settings = request.scope["state"]["runtime"].settings
    if settings.auth != "gateway":
        raise Unauthenticated("未认证", token_given=False)
    named = request.headers.getlist(settings.actor_header) if settings.actor_header else []
    if len(named) > 1:
        # One of them is the client's own, and nobody knows which.
        raise BadRequest(f"请求头{settings.actor_header}重复", malformed=False)
    actor = _visible(named[0]) if named else None
    return Caller(None, TRUSTED.namespaces, actor, trusted=True, request_id=request.scope["state"].get("request_id"))


def _visible(header: str) -> str | None:
    text = header.encode("latin-1").decode("utf-8", "replace")
    return "".join(filter(str.isprintable, text)).strip()[:_ACTOR] or None


def verifier(settings: Settings) -> "Verifier | None":
    """Make the verifier that the settings ask for, if any; SettingsError where they do not suffice."""
    if settings.auth != "token":
        return None
    # What it needs takes long to import: a service behind a gateway starts without.
    from algoplatform.api.tokens import make_verifier

    return make_verifier(settings)
