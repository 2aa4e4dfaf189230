"""The log of a service within the test process, as operators read it."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from algoplatform.logs import configure_logging


class Log:
    """The log lines so far."""

    def __init__(self) -> None:
        self.stream = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)

    @property
    def text(self) -> str:
        """The whole text."""
        buffer = self.stream.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return the lines of an event, or all; each must be a JSON object."""
        found = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in found if event in (None, line["event"])]


@contextmanager
def logged(level: str = "debug") -> Iterator[Log]:
    """Log into memory, configured as by `serve`."""
    log = Log()
    root, stderr = logging.getLogger(), sys.stderr
    before = root.handlers[:], root.level
    sys.stderr = log.stream
    try:
        configure_logging(level)
        sys.stderr = stderr
        yield log
    finally:
        sys.stderr = stderr
        root.handlers[:], _ = before
        root.setLevel(before[1])
        structlog.reset_defaults()
