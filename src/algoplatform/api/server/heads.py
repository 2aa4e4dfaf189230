"""The first bytes of a request, before the parser reads them: what it would refuse or misread is put right or found out."""

import re
from typing import Final

_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_RAW: Final = re.compile(rb"[\x80-\xff]")
_ASCII: Final = bytes(range(0x80))
_VERSIONS: Final = (b" HTTP/1.1", b" HTTP/1.0")


def without_upgrade(piece: bytes) -> bytes:
    """Let a head ask for no other protocol: none is spoken, and the request is answered as it is."""
    # Begun inside the end of a head, it may be a body.
    if piece.startswith((b"\r", b"\n")):
        return piece
    head, end, body = piece.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nIgnored:", head) + end + body


def is_request_line(line: bytes) -> bool:
    """Tell whether a whole line is HTTP/1.0 or 1.1; the parser also reads HTTP/0.9, RTSP and ICE."""
    return line.rstrip(b"\r").endswith(_VERSIONS)


def percent_encoded(text: bytes) -> bytes:
    """Encode raw bytes beyond ASCII, as browsers do with what people type; the parser refuses them."""
    return _RAW.sub(lambda found: b"%%%02X" % found[0][0], text)


class RequestLine:
    """Follows a request line through the pieces that it comes in."""

    __slots__ = ("_limit", "_seen")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # What has come of a line that has not ended yet.
        self._seen = b""

    @property
    def is_open(self) -> bool:
        """Tell whether the next piece continues a line."""
        return bool(self._seen)

    def read(self, piece: bytes) -> bytes | None:
        """Give a piece that begins with (the rest of) a line, in ASCII up to the line's end; None where that is no HTTP."""
        # Empty lines may stand before a request.
        start = 0 if self._seen or piece[0] > 13 else len(piece) - len(piece.lstrip(b"\r\n"))
        end = piece.find(b"\n", start)
        part = piece[start:] if end < 0 else piece[start:end]
        line = self._seen + part
        self._seen = line if end < 0 else b""
        if end >= 0 and not is_request_line(line):
            return None
        # What would be too long is left to the parser, which refuses it at once.
        if part.isascii() or len(line) + 2 * len(part.translate(None, _ASCII)) > self._limit:
            return piece
        return piece[:start] + percent_encoded(part) + piece[start + len(part) :]
