"""Routes of lint: over the registry, and over a file."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.docs.operations import lint as openapi
from algoplatform.api.http.envelope import BARE, value_around
from algoplatform.api.http.representation import SARIF, Format, content_type
from algoplatform.api.http.request import parse_query, read_file, received
from algoplatform.api.http.streams import StreamedRecords, within
from algoplatform.api.routes.common import check_query, runtime_of
from algoplatform.api.routes.operation import image_router
from algoplatform.catalogue.cluster.site import Site
from algoplatform.catalogue.search import Write
from algoplatform.domain.requests import together
from algoplatform.planning.lint.asked import Asked, check_asked
from algoplatform.planning.lint.linter import Linter
from algoplatform.planning.lint.policy import Policy

Run: TypeAlias = Callable[[Write], Awaitable[Linter]]

# Options of rendering that decide what some rules find.
_OPTIONS: Final = ("profile", "cards")

router = image_router()


@router.head("/_lint", include_in_schema=False)
@router.get("/_lint", **openapi.LINT)
async def lint(request: Request) -> Response:
    runtime = runtime_of(request)
    query = parse_query(request.scope["query_string"], "imageId")
    form, (asked, policy) = check_query(request, query, partial(_asked, runtime.site), SARIF)
    if request.method == "HEAD":
        # A response without a body is not worth a run over the registry, without which its length is unknown.
        response = Response(headers={"content-type": content_type(form)})
        del response.headers["content-length"]
        return response
    run = partial(runtime.lint.registry, asked, policy=policy, as_sarif=form is SARIF)
    return _streamed(form, request, run)


@router.post("/_lint", **openapi.LINT_FILE)
async def lint_file(request: Request) -> Response:
    runtime = runtime_of(request)
    query = parse_query(request.scope["query_string"])
    form, (asked, policy) = check_query(request, query, partial(_asked, runtime.site, conditions=False), SARIF)
    file, kept = await received(request, runtime.settings.max_upload_bytes, read_file)
    run = partial(runtime.lint.file, asked, file, policy=policy, as_sarif=form is SARIF)
    return _streamed(form, request, run, kept)


def _asked(site: Site, query: dict[str, Any], *, conditions: bool = True) -> tuple[Asked, Policy]:
    """Check conditions, and the options that decide what is found; raises Refused with the faults of both."""
    own: dict[str, object] = {name: query[name] for name in _OPTIONS if name in query}
    rest = {name: value for name, value in query.items() if name not in own}
    asked, options = together(lambda: check_asked(rest, conditions=conditions), lambda: site.options(own))
    return asked, site.policy_for(options)


def _streamed(form: Format, request: Request, run: Run, *kept: ExitStack) -> Response:
    around = BARE if form is SARIF else value_around("检查完成")
    stream = within(run, *kept, request.app.state.lints.taken())
    return StreamedRecords(stream, around, {"content-type": content_type(form)})
