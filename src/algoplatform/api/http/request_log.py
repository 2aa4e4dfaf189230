"""The log line of each request, and request ids."""

from itertools import count
from os import urandom
from typing import Any, Final

UNMATCHED: Final = "unmatched"
# A random prefix per process plus a counter: asking the kernel for each id
# takes as long as the rest of the log line.
_PROCESS: Final = urandom(12).hex().encode()
_numbers: Final = count()


def log_request(
    log: Any, method: str, route: str, status: int, seconds: float, client: tuple[str, int] | None, **more: Any
) -> None:
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
    """Return a request id that is unique across processes."""
    return b"%b%08x" % (_PROCESS, next(_numbers) & 0xFFFFFFFF)
