"""Limits that uvicorn lacks on a connection: size and duration of a head, and clients that do not read."""

import asyncio
from collections import deque
from typing import Any, Final, NoReturn, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from algoplatform.api.http import metrics
from algoplatform.api.http.request import ENDING, MALFORMED, NO_HTTP
from algoplatform.api.server.heads import RequestLine, without_upgrade
from algoplatform.api.server.refusal import raw_refusal
from algoplatform.api.server.timer import Timer
from algoplatform.api.server.transport import (
    ANY_LENGTH,
    HoldingFlow,
    JoiningTransport,
    ShortReads,
    UnframedTransport,
)
from algoplatform.logs import UNMATCHED, log_request, new_request_id
from algoplatform.settings import Settings

# Bytes: a client that reads less than this within the send timeout has stopped reading.
_PROGRESS: Final = 16 * 1024
# Bytes that are parsed at a time: bounds the memory for pipelined requests.
_SLICE: Final = 4096
# Seconds that a connection may parse before it yields to others: tiny chunks are slow to parse.
_TURN: Final = 0.001
_MOST_HEADERS: Final = 256
# Discards the trailers of a chunked body, which are not merged into the headers.
_TRAILERS: Final = cast("list[tuple[bytes, bytes]]", deque[tuple[bytes, bytes]](maxlen=0))


class BoundedProtocol(HttpToolsProtocol):
    """One connection; a request that is rejected before its head is complete gets an envelope too.

    `drain_timeout`: seconds for a body to arrive after the shutdown has begun.
    """

    def __init__(self, *arguments: Any, settings: Settings, drain_timeout: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._settings = settings
        self._max_head = settings.max_header_bytes
        self._drain_timeout = drain_timeout
        self._in_head = True
        self._line = RequestLine(self._max_head)
        self._fed = self._piece = 0
        self._head_timer, self._send_timer, self._drain_timer = (Timer(self.loop) for _ in range(3))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class has it
        super().connection_made(transport)
        transport.set_protocol(ShortReads(self))
        self.flow = self._flow = HoldingFlow(transport, self._go_on)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._flow.take()
        for timer in (self._head_timer, self._send_timer, self._drain_timer):
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse incoming bytes; pipelined requests wait unparsed until the current response is complete."""
        if self._flow.held or self._is_answering():
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
                # uvicorn resumes reading when its buffer has room.
                self._flow.hold(data[start:])
                return
            if self.loop.time() > until:
                self._flow.hold(data[start:])
                self._flow.resume_reading()
                return
            self._feed(data[start : start + _SLICE])

    def _go_on(self) -> None:
        """Parse buffered bytes, unless a response is in progress."""
        if not self._is_answering() and not self.transport.is_closing() and (held := self._flow.take()):
            self._flow.resume_reading()
            self.data_received(held)

    def shutdown(self) -> None:
        """Drain; an unfinished body is rejected before the server cancels everything."""
        super().shutdown()
        self._drain_timer.start(self._drain_timeout, self._end_body)

    def _end_body(self) -> None:
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete:
            self.scope["state"][ENDING] = True
            self.cycle.message_event.set()

    def _is_answering(self) -> bool:
        """Return whether the latest request has arrived in full and its response is incomplete."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def _prepared(self, data: bytes) -> bytes | None:
        """Preprocess a piece of a head for the parser; None if it is not HTTP."""
        # Not `in`, which first tries to read the needle as an integer and takes ten times as long.
        if data.lower().find(b"\r\nupgrade:") >= 0:
            data = without_upgrade(data)
        # The piece's position within a head is known only if the request began at the start of a piece.
        has_begun = isinstance(self.headers, list)
        return self._line.read(data) if not has_begun or self._line.is_open else data

    def _feed(self, data: bytes) -> None:
        """Parse a piece; limit the size of a head, and of chunk headers and trailers around a body's data."""
        self._fed += len(data)
        self._piece = len(data)
        super().data_received(data)
        if not self._fed or self.transport.is_closing():
            return
        if self._fed > self._max_head:
            self._refuse(431, f"请求头超过上限{self._max_head}字节")
        elif self._in_head and not self._head_timer.is_running:
            self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header without the white space behind its value, which the parser leaves (RFC 9110, section 5.5)."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Start the request, unless its head breaks a limit or asks for another protocol."""
        if self.parser.should_upgrade():
            # The parser would treat the body as another protocol and then, in the next piece, as a request.
            raise ValueError("no other protocol is supported")
        self._check_head()
        self.expect_100_continue = self.expect_100_continue and not self._is_old()
        super().on_headers_complete()
        self._in_head = False
        self._fed = 0
        self._head_timer.cancel()
        self.headers = _TRAILERS
        if self.scope["http_version"] == "1.0":
            # Chunked encoding requires HTTP/1.1.
            self.cycle.chunked_encoding = False
            self.cycle.expected_content_length = ANY_LENGTH
            self.cycle.transport = cast(asyncio.Transport, UnframedTransport(self.transport, self.cycle))
        elif self.scope["method"] != "HEAD":
            # A response to HEAD has no body to wait for.
            self.cycle.transport = cast(asyncio.Transport, JoiningTransport(self.transport))

    def _check_head(self) -> None:
        # The head of a pipelined request in the same piece was parsed without being counted.
        if self._fed + self._piece > self._max_head:
            length = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if length > self._max_head:
                self._end_head(431, f"请求头超过上限{self._max_head}字节")
        if len(self.headers) > _MOST_HEADERS:
            self._end_head(431, f"请求头超过上限{_MOST_HEADERS}个")
        hosts = 0
        for name, _ in self.headers:
            hosts += name == b"host"
        if hosts > 1 or not (hosts or self._is_old()):
            self._end_head(400, "请求头Host须有且只有一个")

    def _is_old(self) -> bool:
        return bool(self.parser.get_http_version() == "1.0")

    def _end_head(self, status: int, message: str) -> NoReturn:
        self._refuse(status, message)
        raise ValueError(message)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, and restart the count of bytes between such parts."""
        self._fed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next request; uvicorn's keep-alive timer bounds the pause before it."""
        super().on_message_complete()
        self._in_head = True
        self._fed = 0

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self._refuse(400, NO_HTTP)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._send_timer.cancel()

    def _expect_head(self) -> None:
        self._head_timer.start(self._settings.header_timeout, self._head_too_slow)

    def _head_too_slow(self) -> None:
        self._head_timer.cancel()
        if self._fed:
            self._refuse(408, "请求头发送过慢")
        else:
            self.transport.close()

    def _watch(self, unsent: int) -> None:
        self._send_timer.start(self._settings.send_timeout, self._read_too_slow, unsent)

    def _read_too_slow(self, before: int) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent > before - _PROGRESS:
            self.transport.abort()
        else:
            self._watch(unsent)

    def _refuse(self, status: int, message: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # The response to an earlier request is in progress: close the connection after it.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            if not self._in_head:
                # If the error is in this request's own body, wake the route that waits for it.
                self.scope["state"][MALFORMED] = True
                self.cycle.message_event.set()
            return
        request_id = new_request_id()
        self.transport.write(
            raw_refusal(status, message, request_id, always_200=self._settings.http_status == "always-200")
        )
        self.transport.close()
        metrics.observer("other", UNMATCHED, status)(0)
        log = structlog.get_logger()
        log_request(log, "other", UNMATCHED, status, 0, self.client, request_id=request_id.decode())
