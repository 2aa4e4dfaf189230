"""The routes of images: read the request, call the use case, word the answer."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from typing import Any, BinaryIO, Final
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api import openapi, wire
from algoplatform.api.auth import caller_of
from algoplatform.api.envelope import failure, success, to_response
from algoplatform.api.schemas import check_deletion, check_upload_options
from algoplatform.api.streams import StreamedRecords, Write
from algoplatform.catalogue.idempotency import once
from algoplatform.domain.errors import AlgoplatformError, BadRequest, ImageNotFound, Refused, Unavailable
from algoplatform.domain.fields import check_id
from algoplatform.domain.json_text import parse_json
from algoplatform.domain.search import MAX_PAGE_SIZE, Conditions, check_conditions
from algoplatform.runtime import Runtime
from algoplatform.storage.database import Connection
from algoplatform.storage.idempotency import Answer
from algoplatform.storage.staging import OnConflict


class _ImageId(StringConvertor):
    """An image's id in a path; the operations, which begin with "_", are none."""

    regex = "[^/_][^/]*"


register_url_convertor("imageId", _ImageId())
_CHUNK: Final = 64 * 1024

router = APIRouter(prefix="/algoPlatform/images", tags=["镜像管理"])


@router.post("/_register", **openapi.REGISTER)
async def register(request: Request) -> Response:
    """镜像注册"""
    runtime = _runtime(request)
    content, data = await _required(request, runtime)

    async def action(connection: Connection) -> Answer:
        image_id, version = await runtime.images.register(connection, caller_of(request), data)
        location = f"{request.scope.get('root_path', '')}/algoPlatform/images/{image_id}"
        return success("注册成功", headers={"location": location, "etag": f'"{version}"'})

    return await _write(request, action, content)


@router.post("/_update", **openapi.UPDATE)
async def update(request: Request) -> Response:
    """镜像更新"""
    runtime = _runtime(request)
    content, data = await _required(request, runtime)
    versions = wire.if_match(request)

    async def action(connection: Connection) -> Answer:
        version = await runtime.images.update(connection, caller_of(request), data, versions)
        return success("更新成功", headers={"etag": f'"{version}"'})

    return await _write(request, action, content)


@router.post("/_delete", **openapi.DELETE)
async def delete(request: Request) -> Response:
    """镜像删除"""
    runtime = _runtime(request)
    content, data = await _required(request, runtime)

    async def action(connection: Connection) -> Answer:
        image_id, claim = check_deletion(data)
        await runtime.images.delete(connection, image_id, caller_of(request), claim)
        return success("删除成功")

    return await _write(request, action, content)


@router.post("/_upload", **openapi.UPLOAD)
async def upload(request: Request) -> Response:
    """镜像配置信息上传"""
    runtime = _runtime(request)
    on_conflict, dry_run = check_upload_options(request.query_params)
    with request.app.state.uploads.taken():
        file = await wire.read_file(request, runtime.settings.max_upload_bytes)
        with file:
            return await _import(request, file, on_conflict, dry_run=dry_run)


async def _import(request: Request, file: BinaryIO, on_conflict: OnConflict, *, dry_run: bool) -> Response:
    runtime = _runtime(request)

    async def action(connection: Connection) -> Answer:
        counts = await runtime.transfer.load(connection, caller_of(request), file, on_conflict, dry_run=dry_run)
        return success("镜像上传成功", orjson.dumps(counts).decode())

    digest = await asyncio.to_thread(_digest, file) if "idempotency-key" in request.headers else b""
    return await _write(request, action, digest)


@router.head("/_search", include_in_schema=False)
@router.get("/_search", **openapi.SEARCH)
@router.post("/_search", **openapi.SEARCH_BY_BODY)
async def search(request: Request) -> Response:
    """镜像按条件查询"""
    runtime = _runtime(request)
    conditions = await _conditions(request, runtime)
    if conditions.page:
        async with runtime.database.connection() as connection:
            records, total = await runtime.search.page(connection, conditions)
        return _answer(request, success("查询成功", f'{{"data":[{",".join(records)}],"total":{total}}}'))
    async with runtime.database.connection() as connection:
        records = await runtime.search.records(connection, conditions, MAX_PAGE_SIZE + 1)
    if len(records) <= MAX_PAGE_SIZE:
        return _answer(request, success("查询成功", f'{{"data":[{",".join(records)}]}}'))

    async def copy(write: Write) -> None:
        with request.app.state.exports.taken():
            async with runtime.database.connection() as connection:
                await runtime.search.copy(connection, conditions, write, keyed=False)

    return StreamedRecords(copy, '{"status":"0","res":{"data":[', ']},"msg":"查询成功"}', {})


@router.post("/_load", **openapi.LOAD)
async def load(request: Request) -> Response:
    """镜像配置信息下载"""
    runtime = _runtime(request)
    conditions = await _conditions(request, runtime)

    async def copy(write: Write) -> None:
        with request.app.state.exports.taken():
            async with runtime.database.connection() as connection:
                await runtime.transfer.export(connection, conditions, write)

    download = {"content-disposition": 'attachment; filename="image_list.json"'}
    return StreamedRecords(copy, '{"status":"0","res":{', '},"msg":"镜像下载成功"}', download)


@router.head("/{imageId:imageId}", include_in_schema=False)
@router.get("/{imageId:imageId}", **openapi.GET)
async def get(request: Request) -> Response:
    """镜像查询"""
    runtime = _runtime(request)
    asked = request.path_params["imageId"]
    try:
        image_id = check_id(asked)
    except ValueError:
        raise ImageNotFound(asked) from None
    async with runtime.database.connection() as connection:
        stored = await runtime.images.get(connection, image_id)
    tag = f'"{stored.version}"'
    headers = {"etag": tag, "last-modified": format_datetime(stored.updated_at, usegmt=True)}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return _answer(request, success("查询成功", stored.record, headers))


def _runtime(request: Request) -> Runtime:
    """Give the runtime to one who may read; what he may write the use cases decide."""
    caller_of(request)
    runtime: Runtime = request.app.state.runtime
    return runtime


def _answer(request: Request, answer: Answer) -> Response:
    return to_response(answer, always_200=_runtime(request).settings.http_status == "always-200")


async def _required(request: Request, runtime: Runtime) -> tuple[bytes, Any]:
    content = await wire.read_json_text(request, runtime.settings.max_body_bytes)
    if not content:
        raise BadRequest("请求体不能为空，须为JSON对象")
    return content, parse_json(content)


async def _conditions(request: Request, runtime: Runtime) -> Conditions:
    given = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query = dict(given)
    if len(query) != len(given):
        raise BadRequest("查询参数重复", malformed=False)
    content = await wire.read_json_text(request, runtime.settings.max_body_bytes)
    body = parse_json(content) if content else {}
    if not isinstance(body, dict):
        raise BadRequest("请求体须为JSON对象", malformed=False)
    # What the body overrides must still be right: a fault is told, never passed over.
    overridden = check_conditions(query) if query and body else None
    given = {name: value for name, value in body.items() if value is not None}
    conditions = overridden if isinstance(overridden, list) else check_conditions(query | given)
    if isinstance(conditions, list):
        raise Refused(conditions)
    return conditions


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.digest()


async def _write(request: Request, action: Callable[[Connection], Awaitable[Answer]], content: bytes) -> Response:
    """Do a write, once where the client gives an Idempotency-Key; `content` is what a repeat must equal."""
    runtime = _runtime(request)
    key = wire.idempotency_key(request, caller_of(request).subject)
    if key is None:
        async with runtime.database.connection() as connection:
            answer = await action(connection)
        return _answer(request, answer)
    problem = wire.wants_problem(request)

    async def answered(connection: Connection) -> Answer:
        try:
            return await action(connection)
        except Unavailable:
            raise
        except AlgoplatformError as error:
            return failure(error, problem=problem)

    asked = f"{request.url.path}?{request.url.query}\n{request.headers.get('if-match', '')}\n".encode()
    fingerprint = hashlib.sha256(asked + content).digest()
    answer = await once(runtime.database, key, fingerprint, runtime.settings.idempotency_hours, answered)
    return _answer(request, answer)
