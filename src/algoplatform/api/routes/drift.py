"""The route of drift: does a cluster still run what the registry says?"""

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.docs.operations import drift as openapi
from algoplatform.api.http.envelope import value_around
from algoplatform.api.http.request import parse_query, read_json_file, received
from algoplatform.api.http.streams import StreamedRecords, within
from algoplatform.api.routes.common import check_query, runtime_of
from algoplatform.api.routes.operation import image_router

router = image_router()


@router.post("/_drift", **openapi.DRIFT)
async def drift(request: Request) -> Response:
    runtime = runtime_of(request)
    query: dict[str, Any] = parse_query(request.scope["query_string"])
    _, options = check_query(request, query, runtime.site.options)
    file, kept = await received(request, runtime.settings.max_upload_bytes, read_json_file)
    compare = partial(runtime.drift.compare, file, options)
    return StreamedRecords(within(compare, kept, request.app.state.drifts.taken()), value_around("对比完成"))
