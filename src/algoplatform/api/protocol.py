"""What uvicorn leaves open on a connection: how long a head may be, how long it may take, how long a client may not read."""

import asyncio
import re
from collections import deque
from functools import partial
from typing import Any, Final, cast

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from algoplatform.api.wire import MALFORMED, NO_HTTP
from algoplatform.domain.faults import Code
from algoplatform.settings import Settings

# The ingress keeps connections for 60 s; the service must outlast it, or it closes one that a request is on its way on.
_KEEP_ALIVE: Final = 75
_DRAIN: Final = 30
# A client that takes less than this in the time to send has stopped reading.
_PROGRESS: Final = 16 * 1024
_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
# Where what comes behind a body goes: it is no header, and kept nowhere.
_TRAILERS: Final = cast("list[tuple[bytes, bytes]]", deque[tuple[bytes, bytes]](maxlen=0))


class _JoiningTransport:
    """What one answer is written to: its head goes out with the first of its body, by one system call instead of two."""

    __slots__ = ("_head", "_started", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._started = False
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Keep the head until the body comes; what comes before, "100 Continue", is none."""
        if self._head:
            self._transport.writelines((self._head, data))
            self._head = b""
        elif self._started or data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)
        else:
            self._head = data
            self._started = True

    def close(self) -> None:
        """Send what there is, and close the connection."""
        if self._head:
            self._transport.write(self._head)
        self._transport.close()


def server_options(settings: Settings) -> dict[str, Any]:
    """Give uvicorn's options, the same for a service of one process, of several, and in the tests."""
    return {
        "http": partial(
            BoundedProtocol,
            max_head=settings.max_header_bytes,
            head_timeout=settings.header_timeout,
            send_timeout=settings.send_timeout,
            always_200=settings.http_status == "always-200",
        ),
        "ws": "none",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        # uvicorn would believe every proxy on this machine.
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": sorted(settings.trusted_proxies),
        "timeout_keep_alive": _KEEP_ALIVE,
        "timeout_graceful_shutdown": _DRAIN,
    }


class BoundedProtocol(HttpToolsProtocol):
    """One connection; what is refused here is no request yet, and is answered in the envelope all the same."""

    def __init__(
        self,
        *arguments: Any,
        max_head: int,
        head_timeout: float,
        send_timeout: float,
        always_200: bool,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._max_head = max_head
        self._head_timeout = head_timeout
        self._send_timeout = send_timeout
        self._always_200 = always_200
        self._in_head = True
        self._fed = self._piece = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class has it
        """Expect a request."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        super().connection_lost(exc)
        self._forget_head_timer()
        self._forget_send_timer()

    def data_received(self, data: bytes) -> None:
        """Read on, and bound a head, or what comes around the parts of a body, that goes on and on."""
        if self._in_head and (b"pgrade:" in data or b"PGRADE:" in data):
            data = _without_upgrade(data)
        self._fed += len(data)
        self._piece = len(data)
        super().data_received(data)
        if not self._fed or self.transport.is_closing():
            return
        if self._fed > self._max_head:
            self._refuse(431, f"请求头超过上限{self._max_head}字节")
        elif self._in_head and self._head_timer is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Start the request, unless its head came in one long piece, or ends what can be read as HTTP."""
        if self.parser.should_upgrade():
            # The parser would take the body for another protocol, and then, in the next piece, for a request.
            raise ValueError("no other protocol is spoken")
        # Behind an earlier request of the same piece, a head has been fed without being counted.
        if self._fed + self._piece > self._max_head:
            length = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if length > self._max_head:
                self._refuse(431, f"请求头超过上限{self._max_head}字节")
                raise ValueError("head too long")
        super().on_headers_complete()
        self._in_head = False
        self._fed = 0
        self._forget_head_timer()
        self.headers = _TRAILERS
        # To HEAD there is no body that the head could go with.
        if self.cycle is not None and self.scope["method"] != "HEAD":
            self.cycle.transport = cast(asyncio.Transport, _JoiningTransport(self.transport))

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; what comes after it counts anew."""
        self._fed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect another request; uvicorn's own timer bounds the pause before it."""
        super().on_message_complete()
        self._in_head = True
        self._fed = 0

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        if not self.transport.is_closing():
            self._refuse(400, NO_HTTP)

    def pause_writing(self) -> None:
        """Give the client time to read."""
        super().pause_writing()
        self._forget_send_timer()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        super().resume_writing()
        self._forget_send_timer()

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self._head_timeout, self._head_too_slow)

    def _head_too_slow(self) -> None:
        self._head_timer = None
        if self._fed:
            self._refuse(408, "请求头发送过慢")
        else:
            self.transport.close()

    def _watch(self, unsent: int) -> None:
        self._send_timer = self.loop.call_later(self._send_timeout, self._read_too_slow, unsent)

    def _read_too_slow(self, before: int) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent > before - _PROGRESS:
            self.transport.abort()
        else:
            self._watch(unsent)

    def _refuse(self, status: int, message: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # Another request's answer is on its way: it ends the connection.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            if not self._in_head:
                # Or it is this body's own request, which is told where the body is waited for.
                self.scope["state"][MALFORMED] = True
                self.cycle.message_event.set()
            return
        body = orjson.dumps({"status": Code.BAD_REQUEST, "res": None, "msg": message})
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[200 if self._always_200 else status] + head + body)
        self.transport.close()

    def _forget_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _forget_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None


def _without_upgrade(piece: bytes) -> bytes:
    """Let a head ask for no other protocol: none is spoken, and the request is answered as it is."""
    # Begun inside the end of a head, it may be a body.
    if piece.startswith((b"\r", b"\n")):
        return piece
    head, end, body = piece.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nIgnored:", head) + end + body
