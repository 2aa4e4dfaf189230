"""Shared by the routes: the runtime after authentication, idempotent writes, the response."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

import orjson
from starlette.requests import Request

from algoplatform.api.http.envelope import failure
from algoplatform.api.http.representation import Format, choose_format
from algoplatform.api.http.request import idempotency_key, read_json_text, wants_problem
from algoplatform.api.middleware.authentication import caller_of
from algoplatform.catalogue.idempotency import Idempotency
from algoplatform.catalogue.parsing import parse
from algoplatform.domain.answer import Answer
from algoplatform.domain.errors import BadRequest, ImageNotFound
from algoplatform.domain.record.fields import check_id
from algoplatform.domain.requests import together
from algoplatform.runtime import Runtime

Result = TypeVar("Result")
Checked = TypeVar("Checked")

# Idempotency records keep an error whole up to _BRIEF bytes; of a larger one, _SHOWN
# characters of the message and _ENTRIES entries.
_BRIEF: Final = 4096
_SHOWN: Final = 500
_ENTRIES: Final = 5
_CUT: Final = "……（重复的请求，只给出开头部分）"


def runtime_of(request: Request) -> Runtime:
    """Return the runtime if the caller is authenticated; the use cases check permission to write."""
    runtime: Runtime = request.scope["state"]["runtime"]
    if runtime.settings.auth != "gateway":
        caller_of(request)
    return runtime


def image_id_of(request: Request) -> str:
    """Return the image id in the path; raise ImageNotFound if it is malformed."""
    asked: str = request.path_params["imageId"]
    try:
        return check_id(asked)
    except ValueError:
        raise ImageNotFound(asked) from None


def check_query(
    request: Request, query: dict[str, Any], check: Callable[[dict[str, Any]], Checked], *raw: Format
) -> tuple[Format, Checked]:
    """Return the format and the result of `check` for the other parameters; raises Refused with the faults of both."""
    rest = {name: value for name, value in query.items() if name != "format"}
    asked = str(query.get("format", "")).strip()
    checked, form = together(lambda: check(rest), lambda: choose_format(request, asked, *raw))
    return form, checked


async def read_json(request: Request, *, optional: bool = False) -> tuple[bytes, Any]:
    """Return a JSON body as sent and parsed; without one, raise BadRequest, or return {} if it is optional."""
    content = await read_json_text(request, runtime_of(request).settings.max_body_bytes)
    if content:
        return content, await parse(content)
    if optional:
        return content, {}
    raise BadRequest("请求体不能为空，须为JSON对象")


def idempotency_of(request: Request, content: bytes, done: Callable[[Result], Answer]) -> Idempotency[Result] | None:
    """Return the idempotency of a write with this body or its digest; None without an Idempotency-Key."""
    key = idempotency_key(request, caller_of(request).subject)
    if key is None:
        return None
    condition = ",".join(request.headers.getlist("if-match"))
    asked = f"{request.url.path}?{request.url.query}\n{condition}\n".encode()
    fingerprint = hashlib.sha256(asked + content).digest()
    problem = wants_problem(request)
    return Idempotency(key, fingerprint, done, lambda error: _brief(failure(error, problem=problem)))


def _brief(answer: Answer) -> Answer:
    """Shorten a long error for repeats, as it may list thousands of faults."""
    if len(answer.body) <= _BRIEF:
        return answer
    said = orjson.loads(answer.body)
    if "msg" in said:
        said["msg"] = said["msg"][:_SHOWN] + _CUT
    else:
        said |= {"detail": said["detail"][:_SHOWN] + _CUT, "errors": said["errors"][:_ENTRIES]}
    return replace(answer, body=orjson.dumps(said))
