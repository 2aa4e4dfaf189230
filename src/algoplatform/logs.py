"""Logging: one JSON object per line on stderr, in the same format for our events and those of libraries.

Exceptions are logged by type and stack frames, without their messages, which may quote user data.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from itertools import count
from os import urandom
from typing import Any, Final

import orjson
import structlog

# The id of the current request, which is added to every line.
REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id", default="")
# The route that is logged for a request that matches none.
UNMATCHED: Final = "unmatched"
# A random prefix per process plus a counter: asking the kernel for each id
# takes as long as the rest of the log line.
_PROCESS: Final = urandom(12).hex().encode()
_numbers: Final = count()

_DEEPEST: Final = 12
_Event = MutableMapping[str, Any]


def places(error: BaseException) -> list[str]:
    """Return up to 12 stack frames of an exception, the innermost last."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return found[-_DEEPEST:]


def kind(error: BaseException) -> str:
    """Return the type name of an exception, with the members of a group and the causes."""
    name = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        name = f"{name}[{', '.join(map(kind, error.exceptions[:5]))}]"
    return f"{name} from {kind(error.__cause__)}" if error.__cause__ else name


def _with_request_id(logger: Any, method: str, event: _Event) -> _Event:
    if request_id := REQUEST_ID.get():
        event["request_id"] = request_id
    return event


def _without_values(logger: Any, method: str, event: _Event) -> _Event:
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else sys.exception() if given is True else given
    if isinstance(error, BaseException):
        event["error"], event["where"] = kind(error), places(error)
    return event


def _line(logger: Any, method: str, event: _Event) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:  # a lone surrogate
        return orjson.dumps({name: repr(value) for name, value in event.items()})


_SHARED: Final[tuple[Callable[..., Any], ...]] = (
    _with_request_id,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    _without_values,
)


def configure_logging(level: str) -> None:
    """Render all log messages of at least this level as JSON lines."""
    structlog.configure(
        processors=[*_SHARED, _line],
        # Bypasses the logging module, which would double the cost of a line.
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=(*_SHARED, structlog.stdlib.add_logger_name),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                lambda *event: _line(*event).decode(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.access").propagate = False
    # At INFO, httpx logs every request with its URL, and Alembic two lines per start. At DEBUG, httpcore logs the
    # headers of answers, whose cookies and redirects may be secrets.
    for name in ("httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


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
