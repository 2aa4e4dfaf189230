"""The outermost layer: a request id, a line in the log and a figure for each request, an answer to what nobody foresaw."""

import logging
import re
import time
from collections.abc import Callable
from itertools import count
from os import urandom
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algoplatform.api import metrics
from algoplatform.api.envelope import OWN_STATUS
from algoplatform.api.logs import REQUEST_ID, kind, places
from algoplatform.api.streams import BrokenOff

_HEADER: Final = b"x-request-id"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# Ids of our own are of the process, then counted: to ask the kernel for each costs as much as all else here.
_PROCESS: Final = urandom(12).hex().encode()
_numbers: Final = count()
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNMATCHED: Final = "unmatched"
# nginx's number for a client that went away before it had an answer.
_GONE: Final = 499

InternalError = Callable[[Scope], ASGIApp]


class Observability:
    """Pure ASGI, around everything but Starlette's own last resort."""

    def __init__(self, app: ASGIApp, internal_error: InternalError) -> None:
        self._app = app
        self._internal_error = internal_error
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
        started = False

        async def identified(message: Message) -> None:
            nonlocal started, status
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                message["headers"] = [*message.get("headers", ()), (_HEADER, request_id)]
            await send(message)

        name = request_id.decode()
        state = scope.setdefault("state", {})
        state["request_id"] = name
        token = REQUEST_ID.set(name)
        try:
            await self._app(scope, receive, identified)
        except ClientDisconnect:
            # Nobody is left to read an answer.
            status = _GONE
        except Exception as error:
            # The message may quote a request's values: the type and the places are enough to find the fault.
            self._log.error("unhandled_error", error=kind(error), where=places(error))
            if started:
                # Only breaking it off tells the client that what it has is not whole; a bare exception, as it is printed.
                raise BrokenOff from None
            await self._internal_error(scope)(scope, receive, identified)
        finally:
            self._tell(scope, state.get(OWN_STATUS, status), time.perf_counter() - began)
            REQUEST_ID.reset(token)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", None) or _UNMATCHED
        metrics.observer(method, route, status)(seconds)
        if not self._tells:
            return
        client = scope.get("client")
        self._log.info(
            "request",
            method=method,
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 2),
            client=client[0] if client else None,
        )


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == _HEADER and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return b"%b%08x" % (_PROCESS, next(_numbers) & 0xFFFFFFFF)
