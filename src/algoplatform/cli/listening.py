"""The port: bound before anything is started, listened on when all is ready."""

import errno
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from algoplatform.runtime import NotReady
from algoplatform.settings import Settings

# How long to wait for the port: after a kill, it becomes free once the workers have noticed.
_PORT_SECONDS: Final = 3
_BACKLOG: Final = 2048


@contextmanager
def bound(settings: Settings) -> Iterator[socket.socket]:
    """Bind the port without listening: clients cannot connect until everything is ready."""
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _take_port(settings, lambda: listener.bind((settings.host, settings.port)))
        yield listener


def accept(listener: socket.socket, settings: Settings) -> None:
    """Listen. Linux allows two services to bind the same port, but only one of them to listen."""
    _take_port(settings, lambda: listener.listen(_BACKLOG))


def _take_port(settings: Settings, take: Callable[[], None]) -> None:
    deadline = time.monotonic() + _PORT_SECONDS
    while True:
        try:
            return take()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise NotReady(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error
            time.sleep(0.05)
