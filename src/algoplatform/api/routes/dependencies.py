"""Routes of the graph: dependencies as JSON, drawing or text, and what a change breaks."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from contextlib import nullcontext
from hashlib import sha256
from typing import Any, Final, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from algoplatform import __version__
from algoplatform.api.docs.operations import graph as openapi
from algoplatform.api.http.envelope import EnvelopeResponse, success
from algoplatform.api.http.representation import (
    DOT,
    MERMAID,
    SVG,
    Format,
    not_modified,
    representation,
    tag_of,
)
from algoplatform.api.http.request import parse_query
from algoplatform.api.routes.common import check_query, image_id_of, read_json, runtime_of
from algoplatform.api.routes.operation import image_router
from algoplatform.catalogue.cluster.graph import check_drawable, drawing
from algoplatform.catalogue.parsing import off_loop
from algoplatform.domain.graph_options import check_graph_options
from algoplatform.planning.graph.model import Graph
from algoplatform.planning.graph.svg import MOST_NODES, STYLE
from algoplatform.planning.graph.text import dot, mermaid

T = TypeVar("T")

# Graphs of more images are processed off the event loop, as their levels and text take more than about 1 ms.
_SMALL: Final = 100
# A drawing of more images takes up to seconds, so only a few are made at once.
_QUICK: Final = 50
_DRAWING: Final = {
    "content-security-policy": "default-src 'none'; style-src 'sha256-"
    f"{b64encode(sha256(STYLE.encode()).digest()).decode()}'",
    "x-content-type-options": "nosniff",
}

router = image_router()


@router.head("/{imageId:imageId}/dependencies", include_in_schema=False)
@router.get("/{imageId:imageId}/dependencies", **openapi.DEPENDENCIES)
async def dependencies(request: Request) -> Response:
    runtime = runtime_of(request)
    image_id = image_id_of(request)
    query = parse_query(request.scope["query_string"])
    form, options = check_query(request, query, check_graph_options, SVG, MERMAID, DOT)
    graph = await runtime.graphs.dependencies(image_id, options)
    if form is SVG:
        # Before If-None-Match, which is for responses that would succeed (RFC 9110, 13.2.1).
        check_drawable(graph)
    document = await _off_loop_if_large(graph, graph.document)
    tag = tag_of(form.name, __version__, graph.image_ids[graph.root], document)
    if known := not_modified(request, tag):
        return known
    if form is SVG:
        response = representation(await drawn(request, graph, _link), SVG, tag)
        response.headers.update(_DRAWING)
        return response
    if form in (MERMAID, DOT):
        return representation(await _off_loop_if_large(graph, lambda: _text(graph, form)), form, tag)
    return EnvelopeResponse(success("查询成功", orjson.dumps(document), {"etag": tag}))


@router.post("/{imageId:imageId}/_impact", **openapi.IMPACT)
async def impact(request: Request) -> Response:
    runtime = runtime_of(request)
    image_id = image_id_of(request)
    _, body = await read_json(request)
    found: dict[str, Any] = await runtime.graphs.impact(image_id, body)
    return EnvelopeResponse(success("分析成功", orjson.dumps(found)))


async def drawn(request: Request, graph: Graph, link: Callable[[str], str]) -> bytes:
    """Draw a graph as SVG, a large one in one of the slots of large renderings."""
    # Graphs above MOST_NODES are refused, so they need no slot.
    slow = _QUICK < len(graph.references) <= MOST_NODES
    with request.app.state.renderings.taken() if slow else nullcontext():
        return await asyncio.to_thread(drawing, graph, link)


def _text(graph: Graph, form: Format) -> bytes:
    return (mermaid(graph) if form is MERMAID else dot(graph, _link)).encode()


def _link(image_id: str) -> str:
    """Return the address of a record as seen from `images/{imageId}/dependencies`."""
    return f"../{image_id}"


async def _off_loop_if_large(graph: Graph, work: Callable[[], T]) -> T:
    return await off_loop(work) if len(graph.references) > _SMALL else work()
