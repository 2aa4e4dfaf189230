"""The route of planning."""

import orjson
from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.docs.operations import plan as openapi
from algoplatform.api.http.envelope import EnvelopeResponse, success
from algoplatform.api.http.request import parse_query, read_large_json_text
from algoplatform.api.routes.common import check_query, runtime_of
from algoplatform.api.routes.operation import image_router
from algoplatform.catalogue.parsing import off_loop, parse, parse_large
from algoplatform.domain.plan.body import parse_plan_body

router = image_router()


@router.post("/_plan", **openapi.PLAN)
async def plan(request: Request) -> Response:
    runtime = runtime_of(request)
    check_query(request, parse_query(request.scope["query_string"]), dict)
    blocks = await read_large_json_text(request, runtime.settings.max_upload_bytes)
    # From here on, the plan holds the worker's only slot for plans. Parsing a large body includes its check.
    with request.app.state.plans.taken():
        if sum(map(len, blocks)) <= runtime.settings.max_body_bytes:
            asked = await parse(b"".join(blocks), parse_plan_body)
        else:
            asked = await parse_large(blocks, runtime.plans.check)
        found = await runtime.plans.plan(asked)
        return EnvelopeResponse(success("规划完成", await off_loop(lambda: orjson.dumps(found))))
