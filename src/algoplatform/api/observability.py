"""The outermost layer: a request id, a line in the log and a figure for each request, an answer to what nobody foresaw."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable
from itertools import count
from os import urandom
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algoplatform.api import metrics
from algoplatform.api.envelope import OWN_STATUS
from algoplatform.api.errors import INTERNAL
from algoplatform.api.logs import REQUEST_ID, kind, places
from algoplatform.api.streams import BrokenOff
from algoplatform.api.wire import path_of
from algoplatform.domain.errors import AlgoplatformError, Unavailable

_HEADER: Final = b"x-request-id"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# Ids of our own are of the process, then counted: to ask the kernel for each costs as much as all else here.
_PROCESS: Final = urandom(12).hex().encode()
_numbers: Final = count()
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED: Final = "unmatched"
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


def log_request(
    log: Any, method: str, route: str, status: int, seconds: float, client: tuple[str, int] | None, **more: Any
) -> None:
    """Write the line that every request has in the log."""
    log.info(
        "request",
        method=method,
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 2),
        client=client[0] if client else None,
        **more,
    )


def new_request_id() -> bytes:
    """Make a request id that no other request of any process has."""
    return b"%b%08x" % (_PROCESS, next(_numbers) & 0xFFFFFFFF)


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
