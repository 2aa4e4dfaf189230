"""Preprocess request heads before the parser: fix or reject what it would reject or misread."""

import re
from typing import Final

_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_RAW: Final = re.compile(rb"[\x80-\xff]")
_ASCII: Final = bytes(range(0x80))
# The parser also accepts HTTP/0.9, RTSP and ICE.
_VERSIONS: Final = (b" HTTP/1.1", b" HTTP/1.0")
_USUAL_ENDS: Final = (b" HTTP/1.1\r\n", b" HTTP/1.0\r\n")


def without_upgrade(piece: bytes) -> bytes:
    """Neutralize an Upgrade header: no other protocol is supported, and the request is handled as HTTP."""
    # A piece that begins within the end of a head may be a body.
    if piece.startswith((b"\r", b"\n")):
        return piece
    head, end, body = piece.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nIgnored:", head) + end + body


class RequestLine:
    """Tracks a request line across the pieces in which it arrives."""

    __slots__ = ("_limit", "_seen")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # The received part of an incomplete line.
        self._seen = b""

    @property
    def is_open(self) -> bool:
        return bool(self._seen)

    def read(self, piece: bytes) -> bytes | None:
        """Return a piece, percent-encoded up to its line's end; None if the line is not HTTP.

        The piece begins at the start of a request line or within one.
        """
        until = piece.find(b"\n") + 1
        if not self._seen and piece.endswith(_USUAL_ENDS, 0, until) and piece[:until].isascii():
            return piece
        # Empty lines may precede a request.
        start = 0 if self._seen or piece[0] > 13 else len(piece) - len(piece.lstrip(b"\r\n"))
        end = piece.find(b"\n", start)
        part = piece[start:] if end < 0 else piece[start:end]
        line = self._seen + part
        self._seen = line if end < 0 else b""
        if end >= 0 and not line.rstrip(b"\r").endswith(_VERSIONS):
            return None
        # A line that would become too long is not encoded, so that the parser rejects it.
        if part.isascii() or len(line) + 2 * len(part.translate(None, _ASCII)) > self._limit:
            return piece
        # As browsers do for typed URLs; the parser rejects other bytes.
        encoded = _RAW.sub(lambda found: b"%%%02X" % found[0][0], part)
        return piece[:start] + encoded + piece[start + len(part) :]
