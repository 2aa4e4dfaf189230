"""Routes of rendering: manifests of an image, and of a set."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from itertools import islice
from typing import Final, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.docs.operations import manifests as openapi
from algoplatform.api.http.envelope import BARE, EnvelopeResponse, success, value_around
from algoplatform.api.http.representation import (
    ENVELOPE,
    YAML,
    Format,
    attachment,
    content_type,
    not_modified,
    representation,
    tag_of,
)
from algoplatform.api.http.request import parse_query, read_large_json_text
from algoplatform.api.http.streams import StreamedRecords, within
from algoplatform.api.routes.common import check_query, image_id_of, runtime_of
from algoplatform.api.routes.operation import image_router
from algoplatform.catalogue.cluster.manifests import Prepared, yaml_of
from algoplatform.catalogue.cluster.site import Site
from algoplatform.catalogue.parsing import off_loop, parse, parse_large
from algoplatform.catalogue.search import Stream, Write
from algoplatform.domain.render_request import RenderRequest, check_render_request
from algoplatform.domain.requests import check_fields, together
from algoplatform.manifests.options import Options
from algoplatform.manifests.rendering import Rendered
from algoplatform.manifests.yaml import dump_yaml
from algoplatform.runtime import Runtime

# A response for up to this many images is built in memory; larger ones are streamed, only a few at once.
_FEW: Final = 16
# Objects that are serialized at once; one takes about 0.2 ms.
_BATCH: Final = 64
_DONE: Final = "生成成功"

router = image_router()
Checked = TypeVar("Checked")


@router.head("/{imageId:imageId}/manifests", include_in_schema=False)
@router.get("/{imageId:imageId}/manifests", **openapi.MANIFESTS)
async def manifests(request: Request) -> Response:
    runtime = runtime_of(request)
    image_id = image_id_of(request)
    query = parse_query(request.scope["query_string"])
    form, options = check_query(request, query, runtime.site.options, YAML)
    with slot_for(request, options):
        prepared = await runtime.manifests.prepare([image_id], options)
    tag = tag_of(form.name, *prepared.tag_parts(warnings=form is ENVELOPE))
    if known := not_modified(request, tag):
        return known
    if prepared.size > _FEW:
        stream = within(partial(_write, form, prepared), request.app.state.renderings.taken())
        return _streamed(form, stream, f"{prepared.name}.yaml", {"etag": tag})
    rendered = await prepared.rendered()
    if form is ENVELOPE:
        return EnvelopeResponse(
            success(_DONE, await off_loop(lambda: orjson.dumps(rendered.document())), {"etag": tag})
        )
    return representation(await yaml_of(rendered), YAML, tag, prepared.name)


@router.post("/_render", **openapi.RENDER)
async def render(request: Request) -> Response:
    runtime = runtime_of(request)
    query = parse_query(request.scope["query_string"])
    # The options of a set are in its body.
    no_more = partial(check_fields, checks={})
    with ExitStack() as stack:
        form, (asked, options) = await _body(
            request,
            runtime,
            stack,
            lambda data: together(
                lambda: check_query(request, query, no_more, YAML)[0], lambda: _asked(data, runtime.site)
            ),
        )
        # Held until the response has been sent.
        kept = stack.pop_all()

    async def stream(write: Write) -> None:
        large = options.closure or len(asked.images) > _FEW or asked.config_files
        with kept, request.app.state.renderings.taken() if large else nullcontext():
            prepared = await runtime.manifests.prepare(asked.images, options, asked.config_files)
            await _write(form, prepared, write)

    return _streamed(form, stream, "manifests.yaml")


def slot_for(request: Request, options: Options) -> AbstractContextManager[None]:
    """Return one of the slots of large renderings for a closure, whose size is not known before it is read."""
    return request.app.state.renderings.taken() if options.closure else nullcontext()


async def _body(request: Request, runtime: Runtime, stack: ExitStack, check: Callable[[object], Checked]) -> Checked:
    """Read and check the body of a set; a large one takes a slot until the stack is closed."""
    blocks = await read_large_json_text(request, runtime.settings.max_upload_bytes)
    if sum(map(len, blocks)) <= runtime.settings.max_body_bytes:
        return check(await parse(b"".join(blocks)))
    stack.enter_context(request.app.state.large_renderings.taken())
    return await parse_large(blocks, check)


def _asked(data: object, site: Site) -> tuple[RenderRequest, Options]:
    """Check the body of a set."""
    given = data.get("options") if isinstance(data, dict) else None
    options = given if isinstance(given, dict) else {}
    return together(lambda: check_render_request(data), lambda: site.options(options))


def _streamed(form: Format, stream: Stream, filename: str, headers: dict[str, str] | None = None) -> Response:
    own = {"content-type": content_type(form), **(headers or {})}
    if form is YAML:
        own["content-disposition"] = attachment(filename)
    return StreamedRecords(stream, BARE if form is YAML else value_around(_DONE), own)


async def _write(form: Format, prepared: Prepared, write: Write) -> None:
    """Render, and write the objects in batches, each of which is serialized in a thread."""
    pieces = _pieces(form, await prepared.rendered())
    while batch := await asyncio.to_thread(lambda: b"".join(islice(pieces, _BATCH))):
        await write(batch)


def _pieces(form: Format, rendered: Rendered) -> Iterator[bytes]:
    if form is YAML:
        yield from dump_yaml(rendered.objects)
        return
    head = b'{"manifests":['
    for item in rendered.objects:
        yield head + orjson.dumps(item)
        head = b","
    rest = rendered.document()
    del rest["manifests"]
    yield b"]," + orjson.dumps(rest)[1:]
