"""A timer of the event loop that can be started again."""

import asyncio
from collections.abc import Callable
from typing import Any


class Timer:
    """At most one pending call."""

    __slots__ = ("_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        return self._handle is not None

    def start(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call a function after some seconds; this replaces a pending call."""
        self.cancel()
        self._handle = self._loop.call_later(seconds, call, *arguments)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
