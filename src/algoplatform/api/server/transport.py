"""Transports and flow control of a connection.

The head is sent with the start of the body, HTTP/1.0 bodies end with the connection, pipelined bytes are held
back, and reads are short.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class AnyLength(int):
    """A Content-Length that matches every body: the end of the connection delimits it."""

    def __lt__(self, other: int) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return False

    def __sub__(self, other: int) -> "AnyLength":
        return self

    __eq__ = int.__eq__
    __hash__ = int.__hash__


ANY_LENGTH: Final = AnyLength()
_CONTINUE: Final = b"HTTP/1.1 100 "
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class UnframedTransport:
    """The transport of a response to HTTP/1.0, whose body ends with the connection."""

    __slots__ = ("_cycle", "_transport", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport = transport
        self._cycle = cycle
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        if self._cycle.response_complete:
            self._transport.close()
        else:
            # A reset (RST), so that the client notices: after a normal close, the body would seem complete.
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()


# Bytes read from a socket at a time; uvloop would read 256,000, and keep as many for each connection that sends.
_READ: Final = 16 * 1024
# Shared by all connections of a worker: each read is consumed before the next one.
_BUFFER: Final = memoryview(bytearray(_READ))


class ShortReads(asyncio.BufferedProtocol):
    """Reads for another protocol, at most 16 KiB at a time."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._data_received = protocol.data_received
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]  # all others as they are
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self._data_received(bytes(_BUFFER[:nbytes]))


class JoiningTransport:
    """The transport of a response, whose head is sent with the start of its body: one system call instead of two."""

    __slots__ = ("_head", "_is_started", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._is_started = False
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Hold the head until the body comes; send "100 Continue", which may precede the head, at once."""
        if self._head:
            self._transport.writelines((self._head, data))
            self._head = b""
        elif self._is_started or data.startswith(_CONTINUE):
            self._transport.write(data)
        else:
            self._head = data
            self._is_started = True

    def close(self) -> None:
        """Send a head that is still held, and close the connection."""
        if self._head:
            self._transport.write(self._head)
        self._transport.close()


class HoldingFlow(FlowControl):
    """Pauses reading while pipelined bytes are held; resuming handles those first."""

    def __init__(self, transport: asyncio.Transport, go_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self._go_on = go_on
        # Bytes for later.
        self.held = b""

    def hold(self, data: bytes) -> None:
        """Buffer bytes for later, and pause reading."""
        self.held += data
        self.pause_reading()

    def take(self) -> bytes:
        held, self.held = self.held, b""
        return held

    def resume_reading(self) -> None:
        """Schedule parsing the held bytes on the event loop or, if there are none, resume reading."""
        if self.held:
            asyncio.get_running_loop().call_soon(self._go_on)
        elif self.read_paused:
            super().resume_reading()
