"""Routes of an image's history: its revisions, and restoring one."""

from collections.abc import AsyncIterator
from datetime import UTC
from functools import partial

import orjson
from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.docs.operations import history as openapi
from algoplatform.api.http.envelope import EnvelopeResponse, list_around, success, success_of_many
from algoplatform.api.http.request import if_match, parse_query
from algoplatform.api.http.streams import StreamedRecords
from algoplatform.api.middleware.authentication import caller_of
from algoplatform.api.routes.common import idempotency_of, image_id_of, read_json, runtime_of
from algoplatform.api.routes.operation import image_router
from algoplatform.catalogue.search import Write
from algoplatform.domain.answer import Answer
from algoplatform.domain.requests import check_paging
from algoplatform.domain.revision import Revision

router = image_router()


@router.head("/{imageId:imageId}/history", include_in_schema=False)
@router.get("/{imageId:imageId}/history", **openapi.HISTORY)
async def history(request: Request) -> Response:
    runtime = runtime_of(request)
    image_id = image_id_of(request)
    page, page_size = check_paging(parse_query(request.scope["query_string"]))
    found, total = await runtime.revisions.history(image_id, page, page_size)
    if found and found[0].after is None:
        complete = runtime.revisions.with_records(image_id, found)
        return StreamedRecords(partial(_passed_on, complete, total), list_around("查询成功"))
    return EnvelopeResponse(success_of_many("查询成功", list(map(_shown, found)), total))


async def _passed_on(found: AsyncIterator[Revision], total: int, write: Write) -> int:
    separator = b""
    async for revision in found:
        await write(separator + _shown(revision))
        separator = b","
    return total


@router.post("/{imageId:imageId}/_restore", **openapi.RESTORE)
async def restore(request: Request) -> Response:
    runtime = runtime_of(request)
    image_id = image_id_of(request)
    content, data = await read_json(request, optional=True)
    versions = if_match(request)

    restored = await runtime.revisions.restore(
        caller_of(request), image_id, data, versions, idempotency_of(request, content, _restored)
    )
    return EnvelopeResponse(_restored(restored))


def _restored(version: int) -> Answer:
    return success("恢复成功", headers={"etag": f'"{version}"'})


def _shown(revision: Revision) -> bytes:
    # The records are serialized JSON and are embedded unparsed.
    made_at = revision.made_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = orjson.dumps(
        {
            "version": revision.version,
            "operation": revision.operation,
            "time": made_at,
            "actor": revision.actor,
            "requestId": revision.request_id,
        }
    )
    before, after = ((record or "null").encode() for record in (revision.before, revision.after))
    return b'%b,"before":%b,"after":%b}' % (head[:-1], before, after)
