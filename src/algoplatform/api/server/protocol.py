"""What uvicorn leaves open on a connection: how long a head may be, how long it may take, how long a client may not read."""

import asyncio
from collections import deque
from functools import partial
from typing import Any, Final, NoReturn, cast

import orjson
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from algoplatform.api.http import metrics
from algoplatform.api.http.request import ENDING, MALFORMED, NO_HTTP
from algoplatform.api.http.request_log import UNMATCHED, log_request, new_request_id
from algoplatform.api.server.heads import RequestLine, without_upgrade
from algoplatform.api.server.transport import ANY_LENGTH, HoldingFlow, JoiningTransport
from algoplatform.domain.faults import Code
from algoplatform.settings import Settings

# The ingress keeps connections for 60 s; the service must outlast it, or it closes one that a request is on its way on.
_KEEP_ALIVE: Final = 75
_DRAIN: Final = 30
# Seconds before the end of the drain at which a body that is still on its way is given up: time to answer, and to be heard.
_FAREWELL: Final = 4
# A client that takes less than this in the time to send has stopped reading.
_PROGRESS: Final = 16 * 1024
# Bytes that are parsed at a time: of requests sent ahead, so much is unpacked into memory.
_SLICE: Final = 4096
# Seconds that a connection may parse before others have their turn: a piece of tiny chunks takes long.
_TURN: Final = 0.001
_MOST_HEADERS: Final = 256
# Where what comes behind a body goes: it is no header, and kept nowhere.
_TRAILERS: Final = cast("list[tuple[bytes, bytes]]", deque[tuple[bytes, bytes]](maxlen=0))


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
        self._line = RequestLine(max_head)
        self._fed = self._piece = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._drain_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class has it
        """Expect a request."""
        super().connection_made(transport)
        self.flow = self._flow = HoldingFlow(transport, self._go_on)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers, and what was held."""
        super().connection_lost(exc)
        self._flow.take()
        self._forget_head_timer()
        self._forget_send_timer()
        if self._drain_timer is not None:
            self._drain_timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Read on, but not ahead of the requests that are being answered: what was sent ahead waits as it came."""
        if self._is_answering() or self._flow.is_holding:
            self._flow.hold(data)
            return
        if self._in_head:
            prepared = self._prepared(data)
            if prepared is None:
                self._refuse(400, NO_HTTP)
                return
            data = prepared
        if len(data) <= _SLICE:
            self._feed(data)
        else:
            self._feed_slices(data)

    def _feed_slices(self, data: bytes) -> None:
        until = self.loop.time() + _TURN
        for start in range(0, len(data), _SLICE):
            if self.transport.is_closing():
                return
            if self._is_answering() or self.flow.read_paused:
                # uvicorn reads on when there is room for it.
                self._flow.hold(data[start:])
                return
            if self.loop.time() > until:
                self._flow.hold(data[start:])
                self._flow.resume_reading()
                return
            self._feed(data[start : start + _SLICE])

    def _go_on(self) -> None:
        """Read what was held, where there is something and nothing is being answered."""
        if not self._is_answering() and not self.transport.is_closing() and (held := self._flow.take()):
            self._flow.resume_reading()
            self.data_received(held)

    def shutdown(self) -> None:
        """Finish what is under way; a body that goes on and on is given up before the server gives up all."""
        super().shutdown()
        self._drain_timer = self.loop.call_later(_DRAIN - _FAREWELL, self._end_body)

    def _end_body(self) -> None:
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete:
            self.scope["state"][ENDING] = True
            self.cycle.message_event.set()

    def _is_answering(self) -> bool:
        """Tell whether the latest request is all there, and its answer is not."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def _prepared(self, data: bytes) -> bytes | None:
        """Put a piece of a head into a form that the parser reads; None where it is no HTTP."""
        if b"pgrade:" in data or b"PGRADE:" in data:
            data = without_upgrade(data)
        # Where in a head a piece begins is known only of a request that began with a piece.
        has_begun = isinstance(self.headers, list)
        return self._line.read(data) if self._line.is_open or not has_begun else data

    def _feed(self, data: bytes) -> None:
        """Parse a piece, and bound a head, or what comes around the parts of a body, that goes on and on."""
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
        """Start the request, unless its head says too much or too little, or ends what can be read as HTTP."""
        if self.parser.should_upgrade():
            # The parser would take the body for another protocol, and then, in the next piece, for a request.
            raise ValueError("no other protocol is spoken")
        is_old = self.parser.get_http_version() == "1.0"
        self._check_head(is_old=is_old)
        if is_old:
            self.expect_100_continue = False
        super().on_headers_complete()
        self._in_head = False
        self._fed = 0
        self._forget_head_timer()
        self.headers = _TRAILERS
        if is_old:
            # Chunks came with HTTP/1.1.
            self.cycle.chunked_encoding = False
            self.cycle.expected_content_length = ANY_LENGTH
        # To HEAD there is no body that the head could go with.
        if self.scope["method"] != "HEAD":
            self.cycle.transport = cast(asyncio.Transport, JoiningTransport(self.transport, self.cycle))

    def _check_head(self, *, is_old: bool) -> None:
        # Behind an earlier request of the same piece, a head has been fed without being counted.
        if self._fed + self._piece > self._max_head:
            length = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if length > self._max_head:
                self._end_head(431, f"请求头超过上限{self._max_head}字节")
        if len(self.headers) > _MOST_HEADERS:
            self._end_head(431, f"请求头超过上限{_MOST_HEADERS}个")
        hosts = [name for name, _ in self.headers if name == b"host"]
        if len(hosts) > 1 or not (hosts or is_old):
            self._end_head(400, "请求头Host须有且只有一个")

    def _end_head(self, status: int, message: str) -> NoReturn:
        self._refuse(status, message)
        raise ValueError(message)

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
        request_id = new_request_id()
        head = (
            b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
            b"cache-control: no-store\r\nconnection: close\r\n\r\n" % (len(body), request_id)
        )
        self.transport.write(STATUS_LINE[200 if self._always_200 else status] + head + body)
        self.transport.close()
        metrics.observer("other", UNMATCHED, status)(0)
        log = structlog.get_logger()
        log_request(log, "other", UNMATCHED, status, 0, self.client, request_id=request_id.decode())

    def _forget_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _forget_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
