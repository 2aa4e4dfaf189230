"""Checks before routing: a valid path, an allowed Host, no cross-site writes, a deadline for the body."""

import asyncio
import math
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algoplatform.api.http.errors import refuse
from algoplatform.api.http.request import ENDING, MALFORMED, NO_HTTP, has_body, path_of
from algoplatform.api.middleware.hosts import is_known, is_loopback, is_same_origin, plain_origin
from algoplatform.domain import errors
from algoplatform.settings import Settings

# Probes and scrapers use a pod's IP address as Host.
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# Received bytes that extend a body's deadline by one second.
_RATE: Final = 64 * 1024
# Limits for draining a body that the route does not read: bytes and seconds before the response, and seconds
# after the response.
_AWAITED: Final = 1024 * 1024
_WAIT: Final = 0.5
_LINGER: Final = 2
_UNKNOWN_HOST: Final = "请求头Host不是本服务的地址"


class Gate:
    """Pure ASGI middleware, inside observability and outside of CORS and authentication."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._is_local = settings.listens_on_loopback and not settings.allowed_hosts
        self._origins = frozenset(map(plain_origin, settings.cors_origins))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            error = None
            if has_body(scope):
                body = _Body(scope, receive, send, self._settings)
                receive, send, error = body.receive, body.send, body.fault
            error = error or self._refusal(scope)
            if error is not None:
                return refuse(error, scope, receive, send)
        return self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> errors.AlgoplatformError | None:
        if "\ufffd" in scope["path"] and not _is_utf8(scope["raw_path"]):
            return errors.BadRequest("路径不是UTF-8编码")
        if self._settings.allowed_hosts and path_of(scope) not in PROBES and not self._is_known(scope):
            return errors.BadRequest(_UNKNOWN_HOST)
        return None if scope["method"] in _SAFE else self._refusal_of_page(scope)

    def _refusal_of_page(self, scope: Scope) -> errors.AlgoplatformError | None:
        """Reject a write that a browser sends for another origin's page; other clients set no such header."""
        headers = dict(scope["headers"])
        site = headers.get(b"sec-fetch-site", b"")
        origin = plain_origin(headers.get(b"origin", b"").decode("latin-1").lower())
        if (not site and not origin) or origin in self._origins:
            return None
        host = headers.get(b"host", b"").decode("latin-1")
        # Browsers send Sec-Fetch-Site only over TLS; over plain HTTP the Origin has to match our Host.
        if site not in (b"same-origin", b"none") and (site or not is_same_origin(origin, host)):
            return errors.Forbidden("不接受来自其他网站页面的写请求")
        # DNS rebinding: to the browser, a page is same-origin if its owner makes its host name resolve to this
        # machine.
        return errors.BadRequest(_UNKNOWN_HOST) if self._is_local and not is_loopback(host) else None

    def _is_known(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"host"]
        return len(given) == 1 and is_known(given[0].decode("latin-1"), self._settings.allowed_hosts)


def _is_utf8(raw_path: bytes) -> bool:
    try:
        unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        return False
    return True


class Slots:
    """Limits concurrent operations that hold a connection, a thread or disk space for long."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a slot during the block; raise TooManyRequests if none is free."""
        if not self._free:
            raise errors.TooManyRequests
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class _Body:
    """An incoming body; what the route leaves unread is drained, or the response closes the connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: Settings) -> None:
        self._headers = scope["headers"]
        self._state = scope["state"]
        self._receive = receive
        self._send = send
        self._until = asyncio.get_running_loop().time() + settings.body_timeout
        self._received = 0
        self._ended = False
        self._given_up = False
        self._is_told = False

    @property
    def fault(self) -> errors.AlgoplatformError | None:
        """The framing error of the body, if one has been found so far."""
        return errors.BadRequest(NO_HTTP) if MALFORMED in self._state else None

    async def receive(self) -> Message:
        """Return the next message of the body.

        Raises BodyTooSlow after the deadline, BadRequest for broken framing, Unavailable at shutdown.
        """
        if self._ended:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until + self._received / _RATE):
                message = await self._receive()
        except TimeoutError:
            raise errors.BodyTooSlow from None
        if self.fault:
            raise self.fault
        if ENDING in self._state and not self._is_told:
            # Only once, as the error response in turn drains the body for a short time.
            self._is_told = True
            raise errors.Unavailable
        self._received += len(message.get("body", b""))
        self._ended = not message.get("more_body")
        return message

    async def send(self, message: Message) -> None:
        """Respond after draining the body; if that takes too long, the response closes the connection."""
        if message["type"] == "http.response.start" and not self._ended:
            # A client that waits for "100 Continue" has not sent the body, and need not.
            if (b"expect", b"100-continue") not in self._headers:
                await self._drain(_WAIT, _AWAITED)
            self._given_up = not self._ended
            if self._given_up:
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        elif self._given_up and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            # Closing while the client still writes would reset the connection, and the client would lose the
            # response.
            await self._drain(_LINGER, math.inf)
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _drain(self, seconds: float, size: float) -> None:
        most = self._received + size
        with suppress(errors.AlgoplatformError, TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._ended and not self.fault and self._received <= most:
                    await self.receive()
