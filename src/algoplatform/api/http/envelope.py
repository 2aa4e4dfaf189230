"""The two response formats, the API document's envelope and RFC 9457 for errors, and their headers."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from algoplatform.domain import errors
from algoplatform.domain.answer import Answer
from algoplatform.domain.faults import Code, Fault

# Head and tail of a success envelope.
Around: TypeAlias = tuple[bytes, Callable[[int | None], bytes]]

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
# Surrounds a body that is sent without an envelope.
BARE: Final[Around] = (b"", lambda total: b"")

# Bytes of faults in an error response, which is at most 256 KiB; the rest is for what surrounds the faults.
_ROOM: Final = 240 * 1024
_RETRY_SECONDS: Final = "1"
_CHALLENGE: Final = 'Bearer realm="algoplatform"'

Headers = tuple[tuple[bytes, bytes], ...]
REQUEST_ID: Final = b"x-request-id"
_JSON_TYPE: Final = (b"content-type", JSON.encode())
# Cache rules (RFC 9111): revalidate what has an ETag, store nothing else.
_VARY: Final = (b"vary", b"Accept")
_REVALIDATE: Final = (b"cache-control", b"no-cache")
_NO_STORE: Final = (b"cache-control", b"no-store")

HTTP_STATUS: Final = {
    Code.SUCCESS: 200,
    Code.IMAGE_EXISTS: 409,
    Code.IMAGE_NOT_FOUND: 404,
    Code.IDENTITY_CHANGED: 409,
    Code.IMAGE_IN_USE: 409,
    Code.FORBIDDEN: 403,
    **{code: -int(code) for code in Code if int(code) < -1},
}


def success(message: str, res: bytes = b"null", headers: dict[str, str] | None = None) -> Answer:
    """Return a success envelope; `res` is serialized JSON in UTF-8."""
    body = b'{"status":"0","res":%b,"msg":"%b"}' % (res, message.encode())
    return Answer(200, body, {"content-type": JSON, **(headers or {})})


def success_of_many(message: str, items: list[bytes], total: int | None = None) -> Answer:
    """Return a success envelope around a list of serialized JSON items, with `total` if it is a page.

    The list `items` is modified.
    """
    head, tail = list_around(message)
    # Adding head and tail to the first and last item lets one join copy everything once.
    items = items or [b""]
    items[0] = head + items[0]
    items[-1] += tail(total)
    return Answer(200, b",".join(items), {"content-type": JSON})


# Unbounded, but small: each message is a constant of ours.
@cache
def list_around(message: str) -> Around:
    """Return what surrounds the items of a list, separated by commas; `tail` takes the total of a page."""
    end = b'},"msg":"%b"}' % message.encode()
    return b'{"status":"0","res":{"data":[', lambda total: (b"]" if total is None else b'],"total":%d' % total) + end


def value_around(message: str) -> Around:
    """Return what surrounds a whole value."""
    end = b',"msg":"%b"}' % message.encode()
    return b'{"status":"0","res":', lambda total: end


def object_around(message: str) -> Around:
    """Return what surrounds the members of an object, separated by commas."""
    end = b'},"msg":"%b"}' % message.encode()
    return b'{"status":"0","res":{', lambda total: end


def failure(error: errors.AlgoplatformError, *, problem: bool, status: int | None = None) -> Answer:
    """Return an error in the format that the client asked for; a repeat gets the stored response.

    `status` overrides the HTTP status of the error's code.
    """
    if isinstance(error, errors.Repeated):
        return error.answer
    status = status or status_of(error)
    headers = {"content-type": PROBLEM if problem else JSON}
    if error.code in (Code.UNAVAILABLE, Code.STILL_RUNNING, Code.TOO_MANY_REQUESTS):
        headers["retry-after"] = _RETRY_SECONDS
    if isinstance(error, errors.Unauthenticated):
        headers["www-authenticate"] = _CHALLENGE + (', error="invalid_token"' if error.token_given else "")
    body = _problem(error, status) if problem else _envelope(error)
    return Answer(status, orjson.dumps(body), headers)


def cache_headers(given: Iterable[tuple[bytes, bytes]] = ()) -> Headers:
    """Return the cache headers to add to a response with these headers."""
    told: Headers = (_NO_STORE, _VARY)
    for name, _ in given:
        if name == b"cache-control":
            return (_VARY,)
        if name == b"etag":
            told = (_REVALIDATE, _VARY)
    return told


def lenient_status(status: int, headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the status to send if ALGOPLATFORM_HTTP_STATUS is always-200: responses in RFC 9457 keep theirs."""
    return 200 if _JSON_TYPE in headers else status


class EnvelopeResponse(Response):
    """A response with the given headers; Starlette's class would first search them for headers that we always set."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.http_status
        self.background = None
        self.body = answer.body
        self.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
        self.raw_headers.append((b"content-length", b"%d" % len(answer.body)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


def http_status(code: Code) -> int:
    return HTTP_STATUS.get(code, 422)


def status_of(error: errors.AlgoplatformError) -> int:
    if isinstance(error, errors.BodyTooSlow):
        return 408
    if isinstance(error, errors.BadRequest) and error.malformed:
        return 400
    return http_status(error.code)


def _envelope(error: errors.AlgoplatformError) -> dict[str, Any]:
    if isinstance(error, errors.FileRefused):
        shown = _fitting(error.record_faults, str)
        message = errors.FileRefused(error.record_faults[:shown], error.total, at_least=error.at_least).message
    elif error.faults:
        shown = _fitting(error.faults, lambda fault: fault.message)
        message = "；".join(fault.message for fault in error.faults[:shown])
        message += errors.unlisted(error.total - shown, at_least=error.at_least)
    else:
        message = error.message
    return {"status": error.code, "res": None, "msg": message}


def _problem(error: errors.AlgoplatformError, status: int) -> dict[str, Any]:
    if isinstance(error, errors.FileRefused):
        detail = f"文件中{'至少' if error.at_least else ''}有{error.total}处错误，未写入任何数据"
        entries = _listed([_entry(item.fault, item.image) for item in error.record_faults])
    else:
        entries = _listed([_entry(fault) for fault in error.faults])
        detail = "；".join(fault.message for fault in error.faults[:3]) or error.message
        detail += errors.unlisted(error.total - len(entries), at_least=error.at_least)
    return {
        "type": f"urn:algoplatform:status:{error.code}",
        "title": error.code.meaning,
        "status": status,
        "detail": detail,
        "code": error.code,
        "errors": entries,
    }


def _entry(fault: Fault, image: str | None = None) -> dict[str, Any]:
    named = {} if image is None else {"image": image}
    placed = {} if fault.position is None else {"position": fault.position}
    return {**named, "field": fault.field, **placed, "code": fault.code, "message": fault.message}


def _listed(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return entries[: _fitting(entries, lambda entry: entry)]


def _fitting(items: Sequence[Any], shown: Any) -> int:
    """Return how many of the items fit into a response."""
    used = 0
    for number, item in enumerate(items):
        used += len(orjson.dumps(shown(item))) + 3
        if used > _ROOM:
            return number
    return len(items)
