"""ALGOPLATFORM_HTTP_STATUS=always-200: envelopes go out as HTTP 200, for clients that read the body only."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algoplatform.api.http.envelope import lenient_status
from algoplatform.api.http.request import path_of
from algoplatform.api.middleware.request_guard import PROBES


class AlwaysOk:
    """Pure ASGI middleware around all others, so that log and metrics keep the original status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["status"] = lenient_status(message["status"], message["headers"])
            await send(message)

        is_probe = scope["type"] != "http" or path_of(scope) in PROBES
        await self._app(scope, receive, send if is_probe else sent)
