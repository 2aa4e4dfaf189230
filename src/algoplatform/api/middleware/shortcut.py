"""The one bypass of FastAPI's routing: an exact path of an operation calls its handler (decision 043).

Every operation is an ordinary route as well: for the OpenAPI document, 404 and 405, and paths with parameters.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, cast

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from algoplatform.api.http.errors import refuse
from algoplatform.api.http.request import path_of
from algoplatform.domain.errors import AlgoplatformError

_Handler = Callable[[Request], Awaitable[Response]]


class Shortcut:
    """Pure ASGI middleware, the innermost."""

    def __init__(self, app: ASGIApp, routes: Iterable[APIRoute]) -> None:
        self._app = app
        self._routes: Final = {
            (method, route.path): route
            for route in routes
            if not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], path_of(scope))) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        try:
            response = await cast("_Handler", route.endpoint)(Request(scope, receive, send))
            await response(scope, receive, send)
        except AlgoplatformError as error:
            await refuse(error, scope, receive, send)
