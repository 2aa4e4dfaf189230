"""Head and body of a response leave together: sent apart, each takes a system call and a packet."""

import asyncio
from collections.abc import Iterable
from typing import Any

from algoplatform.api.server.transport import JoiningTransport


class _Recorder(asyncio.Transport):
    """A transport that keeps each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(data)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.writes.append(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.writes.append(b"closed")


def test_head_and_body_are_one_write() -> None:
    """Only the head waits: "100 Continue" before it and the rest of the body after it are sent at once."""
    recorder = _Recorder()
    joining = JoiningTransport(recorder)
    for part in (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"one", b"two"):
        joining.write(part)
    assert recorder.writes == [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\none", b"two"]


def test_a_head_without_a_body_is_sent_at_the_end() -> None:
    """A response that breaks off before its body still has its head."""
    recorder = _Recorder()
    joining = JoiningTransport(recorder)
    joining.write(b"HTTP/1.1 200 OK\r\n\r\n")
    joining.close()
    assert recorder.writes == [b"HTTP/1.1 200 OK\r\n\r\n", b"closed"]
