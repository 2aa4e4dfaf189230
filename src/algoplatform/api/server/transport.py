"""Transport and flow control: a head is sent together with its body, and pipelined bytes are held back."""

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


class JoiningTransport:
    """The transport of one response: head and first part of the body go out in one system call, not two."""

    __slots__ = ("_cycle", "_head", "_started", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport = transport
        self._cycle = cycle
        self._head = b""
        self._started = False
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Hold back the head until the body comes; "100 Continue" is sent at once."""
        if self._head:
            self._transport.writelines((self._head, data))
            self._head = b""
        elif self._started or data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)
        else:
            self._head = data
            self._started = True

    def close(self) -> None:
        """Flush and close; reset instead if the end of the connection would delimit an incomplete body."""
        if self._cycle.expected_content_length is ANY_LENGTH and not self._cycle.response_complete:
            _reset(self._transport)
            return
        if self._head:
            self._transport.write(self._head)
        self._transport.close()


def _reset(transport: asyncio.Transport) -> None:
    """Reset a connection (RST), so that the client notices: a normal close would end the body as whole."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class HoldingFlow(FlowControl):
    """Pauses reading while pipelined bytes are held; resuming handles those first."""

    def __init__(self, transport: asyncio.Transport, go_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self._go_on = go_on
        self._held = b""

    @property
    def is_holding(self) -> bool:
        """Return whether bytes are held."""
        return bool(self._held)

    def hold(self, data: bytes) -> None:
        """Buffer bytes for later, and pause reading."""
        self._held += data
        self.pause_reading()

    def take(self) -> bytes:
        """Remove and return the held bytes."""
        held, self._held = self._held, b""
        return held

    def resume_reading(self) -> None:
        """Schedule the held bytes on the event loop or, if there are none, resume reading."""
        if self._held:
            asyncio.get_running_loop().call_soon(self._go_on)
        elif self.read_paused:
            super().resume_reading()
