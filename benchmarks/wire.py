"""Minimal HTTP/1.1 on a bare socket: all that a measurement needs, at next to no cost."""

import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlencode

IMAGES: Final = "/algoPlatform/images"
_END: Final = b"\r\n0\r\n\r\n"
_BUFFER: Final = 256 * 1024
_BOUNDARY: Final = "algoplatform-benchmark"


class WrongAnswer(RuntimeError):
    """The response is not the expected one; the message is its beginning."""


def get(path: str, **query: str | int) -> bytes:
    """Return a GET request."""
    target = f"{path}?{urlencode(query)}" if query else path
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """Return a POST request with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int, timeout: float = 600) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """Send a request and return the response's body; raise WrongAnswer unless it succeeded."""
        return b"".join(self.stream(request))

    def stream(self, request: bytes) -> Iterator[bytes]:
        """Send a request and yield the raw body as it arrives, chunk sizes included.

        Raises WrongAnswer unless the response is a success.
        """
        self._socket.sendall(request)
        return self._answer()

    def upload(self, path: str, file: Path) -> bytes:
        """Upload a file as a form, without reading it into memory."""
        disposition = 'Content-Disposition: form-data; name="file"; filename="image_list.json"'
        head = f"--{_BOUNDARY}\r\n{disposition}\r\nContent-Type: application/json\r\n\r\n".encode()
        tail = f"\r\n--{_BOUNDARY}--\r\n".encode()
        length = len(head) + file.stat().st_size + len(tail)
        kind = f"Content-Type: multipart/form-data; boundary={_BOUNDARY}"
        request = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nContent-Length: {length}\r\n\r\n"
        self._socket.sendall(request.encode() + head)
        with file.open("rb") as content:
            self._socket.sendfile(content)
        return b"".join(self.stream(tail))

    def _receive(self) -> bytes:
        data = self._socket.recv(_BUFFER)
        if not data:
            raise WrongAnswer("the connection was closed")
        return data

    def _answer(self) -> Iterator[bytes]:
        head, separator, part = b"", b"", b""
        while not separator:
            head, separator, part = (head + self._receive()).partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        body = (
            self._counted(part, int(fields[b"content-length"])) if b"content-length" in fields else self._chunked(part)
        )
        if head[9:12] != b"200":
            raise WrongAnswer((head[:12] + b" " + b"".join(body))[:500].decode(errors="replace"))
        yield from body

    def _counted(self, part: bytes, length: int) -> Iterator[bytes]:
        yield part
        missing = length - len(part)
        while missing > 0:
            part = self._receive()
            missing -= len(part)
            yield part

    def _chunked(self, part: bytes) -> Iterator[bytes]:
        yield part
        last = part
        while not last.endswith(_END):
            part = self._receive()
            last = (last + part)[-len(_END) :]
            yield part
