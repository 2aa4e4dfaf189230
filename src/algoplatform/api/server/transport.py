"""How bytes go out and come in on a connection: a head with its body, and no more ahead than is being answered."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class AnyLength(int):
    """A length that every body has: the connection's end ends it."""

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
    """What one answer is written to: its head goes out with the first of its body, by one system call instead of two."""

    __slots__ = ("_cycle", "_head", "_started", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport = transport
        self._cycle = cycle
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
        """Send what there is, and close the connection; a body that only this end would end must not look whole."""
        if self._cycle.expected_content_length is ANY_LENGTH and not self._cycle.response_complete:
            _reset(self._transport)
            return
        if self._head:
            self._transport.write(self._head)
        self._transport.close()


def _reset(transport: asyncio.Transport) -> None:
    """End a connection so that the other end notices: closing alone would say that all was sent."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class HoldingFlow(FlowControl):
    """Reads no further while bytes that have come too early are held back; to read on is to go on with those first."""

    def __init__(self, transport: asyncio.Transport, go_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self._go_on = go_on
        self._held = b""

    @property
    def is_holding(self) -> bool:
        """Tell whether bytes wait for their turn."""
        return bool(self._held)

    def hold(self, data: bytes) -> None:
        """Keep bytes for later; no more are read meanwhile."""
        self._held += data
        self.pause_reading()

    def take(self) -> bytes:
        """Give back what was held."""
        held, self._held = self._held, b""
        return held

    def resume_reading(self) -> None:
        """Go on, in a turn of its own."""
        if self._held:
            asyncio.get_running_loop().call_soon(self._go_on)
        elif self.read_paused:
            super().resume_reading()
