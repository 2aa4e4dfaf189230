"""What the routes share: the runtime for who may read, the write that happens once, the answer."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.http.envelope import failure, to_response
from algoplatform.api.http.request import idempotency_key, wants_problem
from algoplatform.api.middleware.authentication import caller_of
from algoplatform.catalogue.idempotency import once
from algoplatform.domain.answer import Answer
from algoplatform.domain.errors import AlgoplatformError, ImageNotFound, Unavailable
from algoplatform.domain.faults import Code
from algoplatform.domain.record.fields import check_id
from algoplatform.runtime import Runtime
from algoplatform.storage.postgres.pool import Connection

PREFIX: Final = "/algoPlatform/images"
TAGS: Final = ["镜像管理"]

# Of a refusal that is kept for a repeat: bytes up to which it is kept whole; else characters of its message, and entries.
_BRIEF: Final = 4096
_SHOWN: Final = 500
_ENTRIES: Final = 5
_CUT: Final = "……（重复的请求，只给出开头部分）"


class _ImageId(StringConvertor):
    """An image's id in a path; the operations, which begin with "_", are none."""

    regex = "[^/_][^/]*"


register_url_convertor("imageId", _ImageId())


def runtime_of(request: Request) -> Runtime:
    """Give the runtime to one who may read; what he may write the use cases decide."""
    runtime: Runtime = request.scope["state"]["runtime"]
    if runtime.settings.auth != "gateway":
        caller_of(request)
    return runtime


def image_id_of(request: Request) -> str:
    """Read the image's id off the path; ImageNotFound where it can be none."""
    asked: str = request.path_params["imageId"]
    try:
        return check_id(asked)
    except ValueError:
        raise ImageNotFound(asked) from None


def answered(request: Request, answer: Answer) -> Response:
    """Send an answer in the form that the settings ask for."""
    runtime: Runtime = request.scope["state"]["runtime"]
    return to_response(answer, always_200=runtime.settings.http_status == "always-200")


async def written(
    request: Request,
    action: Callable[[Connection], Awaitable[Answer]],
    content: bytes,
    *,
    apart: Callable[[], Awaitable[Answer]] | None = None,
) -> Response:
    """Do a write, once where the client gives an Idempotency-Key; `content` is what a repeat must equal.

    Without a key it is done `apart`, where there is another way for what needs no connection of its own.
    """
    runtime = runtime_of(request)
    key = idempotency_key(request, caller_of(request).subject)
    if key is None:
        if apart is not None:
            return answered(request, await apart())
        async with runtime.database.connection(write=True) as connection:
            answer = await action(connection)
        return answered(request, answer)
    # Whoever may write nothing makes nothing be written, no kept refusal either.
    runtime.transfer.admit(caller_of(request))
    problem = wants_problem(request)

    async def settled(connection: Connection) -> Answer:
        try:
            return await action(connection)
        except Unavailable:
            raise
        except AlgoplatformError as error:
            if error.code == Code.FORBIDDEN:
                raise
            return _briefly_kept(failure(error, problem=problem))

    condition = ",".join(request.headers.getlist("if-match"))
    asked = f"{request.url.path}?{request.url.query}\n{condition}\n".encode()
    fingerprint = hashlib.sha256(asked + content).digest()
    caller = caller_of(request).subject or ""
    answer = await once(runtime.database, key, caller, fingerprint, runtime.settings.idempotency_hours, settled)
    return answered(request, answer)


def _briefly_kept(answer: Answer) -> Answer:
    """Let a repeat of a long refusal be answered with the beginning of it: it may have told of thousands of faults."""
    if len(answer.body) > _BRIEF:
        said = orjson.loads(answer.body)
        if "msg" in said:
            said["msg"] = said["msg"][:_SHOWN] + _CUT
        else:
            said |= {"detail": said["detail"][:_SHOWN] + _CUT, "errors": said["errors"][:_ENTRIES]}
        answer.brief = orjson.dumps(said)
    return answer
