"""The outermost layer: a request id, a line in the log and a figure for each request, an answer to what nobody foresaw."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algoplatform.api.http import metrics
from algoplatform.api.http.envelope import OWN_STATUS
from algoplatform.api.http.errors import INTERNAL
from algoplatform.api.http.request import path_of
from algoplatform.api.http.request_log import UNMATCHED, log_request, new_request_id
from algoplatform.api.http.streams import BrokenOff
from algoplatform.domain.errors import AlgoplatformError, Unavailable
from algoplatform.logs import REQUEST_ID, kind, places

_HEADER: Final = b"x-request-id"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# nginx's number for a client that went away before it had an answer.
_GONE: Final = 499

# What caches may do (RFC 9111): ask each time whether what an ETag names still holds, and keep nothing else.
_TOLD: Final = ((b"vary", b"Accept"),)
_WITH_TAG: Final = ((b"cache-control", b"no-cache"), *_TOLD)
_WITHOUT_TAG: Final = ((b"cache-control", b"no-store"), *_TOLD)
_CLOSE: Final = (b"connection", b"close")
_PAGES: Final = ("/docs", "/redoc", "/openapi.json")

Failed = Callable[[Scope, AlgoplatformError], ASGIApp]


class Observability:
    """Pure ASGI, around everything but Starlette's own last resort."""

    def __init__(self, app: ASGIApp, failed: Failed) -> None:
        self._app = app
        self._failed = failed
        self._log = structlog.get_logger()
        self._tells = self._log.is_enabled_for(logging.INFO)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        status = _GONE
        started = broken = False

        async def identified(message: Message) -> None:
            nonlocal started, status
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                given = message.get("headers", ())
                message["headers"] = [*given, (_HEADER, request_id), *_for_caches(scope, given)]
            await send(message)

        async def fail(error: AlgoplatformError, *, close: bool = False) -> None:
            nonlocal broken
            if started:
                broken = True
                # Only breaking it off tells the client that what it has is not whole; a bare exception, as it is printed.
                raise BrokenOff from None
            await self._failed(scope, error)(scope, receive, _closing(identified) if close else identified)

        name = request_id.decode()
        state = scope.setdefault("state", {})
        state["request_id"] = name
        token = REQUEST_ID.set(name)
        try:
            await self._app(scope, receive, identified)
        except ClientDisconnect:
            # Nobody is left to read an answer.
            status = _GONE
        except asyncio.CancelledError:
            # The server cancels what its drain has no more time for, and ends soon after.
            await fail(Unavailable(), close=True)
        except Exception as error:
            # The message may quote a request's values: the type and the places are enough to find the fault.
            self._log.error("unhandled_error", error=kind(error), where=places(error))
            await fail(INTERNAL)
        finally:
            self._tell(scope, state.get(OWN_STATUS, status), time.perf_counter() - began, broken=broken)
            REQUEST_ID.reset(token)

    def _tell(self, scope: Scope, status: int, seconds: float, *, broken: bool) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", None) or UNMATCHED
        # What was broken off has had a good status, and is a failure all the same.
        metrics.observer(method, route, 500 if broken else status)(seconds)
        if self._tells:
            more = {"broken": True} if broken else {}
            log_request(self._log, method, route, status, seconds, scope.get("client"), **more)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == _HEADER and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return new_request_id()


def _closing(send: Send) -> Send:
    """End the connection with the answer."""

    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), _CLOSE]
        await send(message)

    return closing


def _for_caches(scope: Scope, headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Say what caches may do with an answer; the pages, which are everybody's, say it themselves."""
    if path_of(scope).startswith(_PAGES):
        return ()
    told = _WITHOUT_TAG
    for name, _ in headers:
        if name == b"cache-control":
            return _TOLD
        if name == b"etag":
            told = _WITH_TAG
    return told
