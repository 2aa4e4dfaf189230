"""Who asks: read off a request's token before anything else of it, by ALGOPLATFORM_AUTH=token; else whoever stands in front vouches."""

from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from algoplatform.api.errors import refuse
from algoplatform.domain.access import TRUSTED, Caller
from algoplatform.domain.errors import AlgoplatformError, Unauthenticated
from algoplatform.settings import Settings

if TYPE_CHECKING:
    from algoplatform.api.tokens import Verifier

GUARDED: Final = "/algoPlatform"


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


def verifier(settings: Settings) -> "Verifier | None":
    """Make the verifier that the settings ask for, if any; SettingsError where they do not suffice."""
    if settings.auth != "token":
        return None
    # What it needs takes long to import: a service behind a gateway starts without.
    from algoplatform.api.tokens import make_verifier

    return make_verifier(settings)
