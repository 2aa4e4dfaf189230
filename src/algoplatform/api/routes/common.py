"""Shared by the routes: the runtime after authentication, idempotent writes, the response."""

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

# Idempotency records keep an error whole up to _BRIEF bytes; of a larger one, _SHOWN
# characters of the message and _ENTRIES entries.
_BRIEF: Final = 4096
_SHOWN: Final = 500
_ENTRIES: Final = 5
_CUT: Final = "……（重复的请求，只给出开头部分）"


class _ImageId(StringConvertor):
    """An image id in a path; operations begin with "_" and do not match."""

    regex = "[^/_][^/]*"


register_url_convertor("imageId", _ImageId())


def runtime_of(request: Request) -> Runtime:
    """Return the runtime to an authenticated caller; the use cases check permission to write."""
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


def answered(request: Request, answer: Answer) -> Response:
    """Make a response with the status that the settings ask for."""
    runtime: Runtime = request.scope["state"]["runtime"]
    return to_response(answer, always_200=runtime.settings.http_status == "always-200")


async def written(
    request: Request,
    action: Callable[[Connection], Awaitable[Answer]],
    content: bytes,
    *,
    apart: Callable[[], Awaitable[Answer]] | None = None,
) -> Response:
    """Run a write, at most once if the client sends an Idempotency-Key; a repeat must have equal `content`.

    Without a key, `apart` runs instead if given: it needs no connection of its own.
    """
    runtime = runtime_of(request)
    key = idempotency_key(request, caller_of(request).subject)
    if key is None:
        if apart is not None:
            return answered(request, await apart())
        async with runtime.database.connection(write=True) as connection:
            answer = await action(connection)
        return answered(request, answer)
    # A caller without permission to write must not cause any write, not even of a stored error.
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
    """Shorten a long error for repeats, as it may list thousands of faults."""
    if len(answer.body) > _BRIEF:
        said = orjson.loads(answer.body)
        if "msg" in said:
            said["msg"] = said["msg"][:_SHOWN] + _CUT
        else:
            said |= {"detail": said["detail"][:_SHOWN] + _CUT, "errors": said["errors"][:_ENTRIES]}
        answer.brief = orjson.dumps(said)
    return answer
