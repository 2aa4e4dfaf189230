"""Routes of images: parse the request, call the use case, format the response."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import format_datetime
from functools import lru_cache, partial
from typing import Any, BinaryIO, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.docs.operations import images as openapi
from algoplatform.api.http.envelope import EnvelopeResponse, list_around, object_around, success, success_of_many
from algoplatform.api.http.request import has_body, if_match, is_known, parse_query, read_file, read_json_text, received
from algoplatform.api.http.streams import StreamedRecords, while_connected, within
from algoplatform.api.middleware.authentication import caller_of
from algoplatform.api.routes.common import idempotency_of, image_id_of, read_json, runtime_of
from algoplatform.api.routes.operation import PREFIX, image_router
from algoplatform.catalogue.images import Registered
from algoplatform.catalogue.parsing import parse
from algoplatform.domain.answer import Answer
from algoplatform.domain.requests import check_body, check_upload_options
from algoplatform.domain.search import Conditions, check_conditions
from algoplatform.domain.uploads import Counts
from algoplatform.runtime import Runtime

# Longest query string, in bytes, whose parsed conditions are cached.
_REMEMBERED: Final = 512

router = image_router()


@router.post("/_register", **openapi.REGISTER)
async def register(request: Request) -> Response:
    runtime = runtime_of(request)
    content, data = await read_json(request)

    def answer(new: Registered) -> Answer:
        location = f"{request.scope.get('root_path', '')}{PREFIX}/{new.image_id}"
        return success("注册成功", headers={"location": location, "etag": f'"{new.version}"'})

    new = await runtime.images.register(caller_of(request), data, idempotency_of(request, content, answer))
    return EnvelopeResponse(answer(new))


@router.post("/_update", **openapi.UPDATE)
async def update(request: Request) -> Response:
    runtime = runtime_of(request)
    content, data = await read_json(request)
    versions = if_match(request)
    updated = await runtime.images.update(
        caller_of(request), data, versions, idempotency_of(request, content, _updated)
    )
    return EnvelopeResponse(_updated(updated))


def _updated(version: int) -> Answer:
    return success("更新成功", headers={"etag": f'"{version}"'})


@router.post("/_delete", **openapi.DELETE)
async def delete(request: Request) -> Response:
    runtime = runtime_of(request)
    content, data = await read_json(request)
    versions = if_match(request)
    await runtime.images.delete(caller_of(request), data, versions, idempotency_of(request, content, _deleted))
    return EnvelopeResponse(_deleted())


def _deleted(_: None = None) -> Answer:
    return success("删除成功")


@router.post("/_upload", **openapi.UPLOAD)
async def upload(request: Request) -> Response:
    runtime = runtime_of(request)
    runtime.transfer.admit(caller_of(request))
    options = check_upload_options(parse_query(request.scope["query_string"]))
    async with _received(request) as (file, digest), while_connected(request):
        counts = await runtime.transfer.load(
            caller_of(request), file, options, idempotency_of(request, digest, _uploaded)
        )
    return EnvelopeResponse(_uploaded(counts))


def _uploaded(counts: Counts) -> Answer:
    return success("镜像上传成功", orjson.dumps(counts))


@asynccontextmanager
async def _received(request: Request) -> AsyncIterator[tuple[BinaryIO, bytes]]:
    """Receive a file, and hold a slot for uploads; yields the file and, if there is a key, its digest."""
    file, kept = await received(request, runtime_of(request).settings.max_upload_bytes, read_file)
    # The slot is taken only once the file has arrived: otherwise slow senders would block other uploads.
    with kept, request.app.state.uploads.taken():
        yield file, await asyncio.to_thread(_digest, file) if "idempotency-key" in request.headers else b""


@router.head("/_search", include_in_schema=False)
@router.get("/_search", **openapi.SEARCH)
@router.post("/_search", **openapi.SEARCH_BY_BODY)
async def search(request: Request) -> Response:
    runtime = runtime_of(request)
    conditions, asked = await _conditions(request, runtime)
    found = await runtime.searches.answer(conditions, asked, _found)
    if isinstance(found, Answer):
        return EnvelopeResponse(found)
    return StreamedRecords(within(found, request.app.state.exports.taken()), list_around("查询成功"))


_found: Final = partial(success_of_many, "查询成功")


@router.post("/_load", **openapi.LOAD)
async def load(request: Request) -> Response:
    runtime = runtime_of(request)
    conditions, _ = await _conditions(request, runtime)

    export = partial(runtime.searches.stream, conditions, keyed=True)
    download = {"content-disposition": 'attachment; filename="image_list.json"'}
    limited = within(export, request.app.state.exports.taken())
    return StreamedRecords(limited, object_around("镜像下载成功"), download)


@router.head("/{imageId:imageId}", include_in_schema=False)
@router.get("/{imageId:imageId}", **openapi.GET)
async def get(request: Request) -> Response:
    runtime = runtime_of(request)
    image_id = image_id_of(request)
    stored = await runtime.images.get(image_id)
    tag = f'"{stored.version}"'
    headers = {"etag": tag, "last-modified": format_datetime(stored.updated_at, usegmt=True)}
    if is_known(request, tag):
        return Response(status_code=304, headers=headers)
    return EnvelopeResponse(success("查询成功", stored.record, headers))


async def _conditions(request: Request, runtime: Runtime) -> tuple[Conditions, bytes | str]:
    """Return the search conditions and their cache key: the query string or, with a body, the conditions' own key."""
    query: bytes = request.scope["query_string"]
    # Check the query string even where the body overrides it, so that no fault goes unreported.
    conditions = _asked_before(query) if len(query) <= _REMEMBERED else _asked(query)
    # Most searches have no body, and reading one takes two coroutines.
    content = has_body(request.scope) and await read_json_text(request, runtime.settings.max_body_bytes)
    if not content:
        return conditions, query
    body = check_body(await parse(content))
    said = {name: value for name, value in body.items() if value is not None}
    conditions = check_conditions(_parsed(query) | said)
    return conditions, conditions.key


def _asked(query: bytes) -> Conditions:
    return check_conditions(_parsed(query))


def _parsed(query: bytes) -> dict[str, Any]:
    return parse_query(query, "imageId")


# Programs repeat their queries: parsing takes a tenth of a small search. An entry takes at most 5 KiB, all of
# them 5 MiB.
_asked_before: Final = lru_cache(1024)(_asked)


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]  # a BinaryIO with readinto
    file.seek(0)
    return digest
