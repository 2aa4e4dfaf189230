"""Routes of artifacts: whether images are in their registries."""

from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.docs.operations import artifacts as openapi
from algoplatform.api.http.envelope import EnvelopeResponse, success
from algoplatform.api.http.request import parse_query
from algoplatform.api.http.streams import while_connected
from algoplatform.api.middleware.authentication import caller_of
from algoplatform.api.routes.common import image_id_of, read_json, runtime_of
from algoplatform.api.routes.operation import image_router
from algoplatform.catalogue.cluster.artifacts import document_of
from algoplatform.domain.access import Caller
from algoplatform.domain.requests import check_body, check_verification, together
from algoplatform.domain.search import Conditions, check_conditions

_USER: Final = "userResult"

router = image_router()


@router.post("/{imageId:imageId}/_verify", **openapi.VERIFY)
async def verify(request: Request) -> Response:
    runtime = runtime_of(request)
    image_id = image_id_of(request)
    _, body = await read_json(request, optional=True)
    claim = check_verification(body)
    async with while_connected(request):
        found = await runtime.artifacts.verify(caller_of(request), image_id, claim)
    return EnvelopeResponse(success("校验完成", orjson.dumps(document_of(found))))


@router.post("/_verify", **openapi.VERIFY_SET)
async def verify_set(request: Request) -> Response:
    runtime = runtime_of(request)
    query = parse_query(request.scope["query_string"], "imageId")
    _, body = await read_json(request, optional=True)
    conditions, claim = _conditions(query, body)
    with request.app.state.verifications.taken():
        async with while_connected(request):
            found = await runtime.artifacts.verify_set(caller_of(request), conditions, claim)
    return EnvelopeResponse(success("校验完成", orjson.dumps(found.document())))


@router.head("/{imageId:imageId}/artifact", include_in_schema=False)
@router.get("/{imageId:imageId}/artifact", **openapi.ARTIFACT)
async def artifact(request: Request) -> Response:
    found = await runtime_of(request).artifacts.artifact(image_id_of(request))
    return EnvelopeResponse(success("查询成功", orjson.dumps(document_of(found))))


@router.post("/_draft", **openapi.DRAFT)
async def draft(request: Request) -> Response:
    runtime = runtime_of(request)
    _, body = await read_json(request)
    async with while_connected(request):
        found = await runtime.drafts.draft(body)
    # Escaped, as the message quotes the image's configuration.
    message = orjson.dumps(found.message)[1:-1].decode()
    return EnvelopeResponse(success(message, orjson.dumps(found.record)))


def _conditions(query: dict[str, Any], body: Any) -> tuple[Conditions, Caller | None]:
    """Return the conditions of a set, where the body overrides the query, and the caller that the body names."""
    given = check_body(body)
    said = {name: value for name, value in given.items() if value is not None and name != _USER}
    return together(lambda: check_conditions(query | said), lambda: check_verification({_USER: given.get(_USER)}))
