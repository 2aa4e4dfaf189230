"""The route of drift: does a cluster still run what the registry says?"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.docs.operations import drift as openapi
from algoplatform.api.http.request import parse_query, read_json_file, received
from algoplatform.api.http.streams import StreamedRecords
from algoplatform.api.routes.common import check_query, runtime_of
from algoplatform.api.routes.operation import image_router
from algoplatform.catalogue.search import Write

_HEAD: Final = b'{"status":"0","res":'
_TAIL: Final = ',"msg":"对比完成"}'.encode()

router = image_router()


@router.post("/_drift", **openapi.DRIFT)
async def drift(request: Request) -> Response:
    """集群与登记的差异"""
    runtime = runtime_of(request)
    query: dict[str, Any] = parse_query(request.scope["query_string"])
    _, options = check_query(request, query, runtime.site.options)
    file, kept = await received(request, runtime.settings.max_upload_bytes, read_json_file)

    async def stream(write: Write) -> None:
        with kept, request.app.state.drifts.taken():
            await runtime.drift.compare(file, options, write)

    return StreamedRecords(stream, (_HEAD, lambda _: _TAIL))
