"""The outermost middleware: request id, log line, metrics, and a response to unhandled exceptions."""

import asyncio
import logging
import re
import time
from collections.abc import Iterable
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algoplatform.api.http import metrics
from algoplatform.api.http.envelope import REQUEST_ID, Headers, cache_headers
from algoplatform.api.http.errors import INTERNAL, refuse
from algoplatform.api.http.request import path_of
from algoplatform.api.http.streams import BrokenOff
from algoplatform.domain.errors import AlgoplatformError, Unavailable
from algoplatform.logs import REQUEST_ID as LOGGED_ID
from algoplatform.logs import UNMATCHED, kind, log_request, new_request_id, places

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# nginx's status for a client that disconnected before the response.
_GONE: Final = 499

_CLOSE: Final = (b"connection", b"close")
_PAGES: Final = ("/docs", "/redoc", "/openapi.json")


class Observability:
    """Pure ASGI middleware around everything but the server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = structlog.get_logger()
        self._tells = self._log.is_enabled_for(logging.INFO)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        status = _GONE
        started = broken = False
        added: list[tuple[bytes, bytes]] = [(REQUEST_ID, request_id)]

        async def identified(message: Message) -> None:
            nonlocal started, status
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                given = message.get("headers", ())
                message["headers"] = [*given, *added, *_for_caches(scope, given)]
            await send(message)

        async def fail(error: AlgoplatformError) -> None:
            nonlocal broken
            if started:
                broken = True
                # Only a broken connection tells the client that the response is incomplete. `from None`:
                # uvicorn prints the exception, and its cause may quote a request's values.
                raise BrokenOff from None
            await refuse(error, scope, receive, identified)

        name = request_id.decode()
        state = scope.setdefault("state", {})
        state["request_id"] = name
        token = LOGGED_ID.set(name)
        try:
            await self._app(scope, receive, identified)
        except ClientDisconnect:
            # The client is gone; no response can be sent.
            status = _GONE
        except asyncio.CancelledError:
            # The drain's time is up: the server cancels the remaining requests and exits soon after.
            added.append(_CLOSE)
            await fail(Unavailable())
        except Exception as error:
            # The message may quote a request's values: type and location suffice to find the error.
            self._log.error("unhandled_error", error=kind(error), where=places(error))
            await fail(INTERNAL)
        finally:
            # A broken response was sent with a success status, yet counts as a failure.
            self._tell(scope, 500 if broken else status, time.perf_counter() - began, broken=broken)
            LOGGED_ID.reset(token)

    def _tell(self, scope: Scope, status: int, seconds: float, *, broken: bool) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", None) or UNMATCHED
        metrics.observer(method, route, status)(seconds)
        if self._tells:
            more = {"broken": True} if broken else {}
            log_request(self._log, method, route, status, seconds, scope.get("client"), **more)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == REQUEST_ID and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return new_request_id()


def _for_caches(scope: Scope, headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the cache headers of a response; the pages, which are public, set their own."""
    return () if path_of(scope).startswith(_PAGES) else cache_headers(headers)
