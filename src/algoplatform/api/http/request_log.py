"""The line that each request leaves in the log, and the ids of requests."""

from itertools import count
from os import urandom
from typing import Any, Final

UNMATCHED: Final = "unmatched"
# A random number for the process, then a count: asking the kernel for each id costs as much as the rest of a log line.
_PROCESS: Final = urandom(12).hex().encode()
_numbers: Final = count()


def log_request(
    log: Any, method: str, route: str, status: int, seconds: float, client: tuple[str, int] | None, **more: Any
) -> None:
    """Write the line that every request has in the log."""
    log.info(
        "request",
        method=method,
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 2),
        client=client[0] if client else None,
        **more,
    )


def new_request_id() -> bytes:
    """Make a request id that no other request of any process has."""
    return b"%b%08x" % (_PROCESS, next(_numbers) & 0xFFFFFFFF)
