"""The one place where exceptions, ours and the framework's, become HTTP responses."""

from collections.abc import Callable
from http import HTTPStatus
from traceback import clear_frames
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from algoplatform.api.http.envelope import EnvelopeResponse, failure
from algoplatform.api.http.request import path_of, wants_problem
from algoplatform.domain.errors import AlgoplatformError
from algoplatform.domain.faults import Code

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_MESSAGES = {
    404: ("路径不存在", Code.NO_SUCH_PATH),
    405: ("请求方式不允许", Code.METHOD_NOT_ALLOWED),
}

INTERNAL: Final = AlgoplatformError("服务内部错误，请凭X-Request-Id联系管理员")


def install_handlers(app: Starlette) -> None:
    """Register handlers for domain and framework errors; all others reach the outermost middleware."""
    app.add_exception_handler(AlgoplatformError, _refused)
    app.add_exception_handler(HTTPException, _framework)


# Makes the page for an error, in a part of the application that serves pages.
ErrorPage = Callable[[AlgoplatformError, Request], Response]


def install_error_pages(app: Starlette, prefix: str, page: ErrorPage) -> None:
    """Respond to errors below a path prefix with pages, including those of middleware."""
    app.state.error_pages = (prefix, page)


def response_to(error: AlgoplatformError, request: Request) -> Response:
    """Return an error's response: a page where pages are served, else in the format that the client asked for."""
    # The frames hold the body as far as read, and the error lives until the client has read the response.
    clear_frames(error.__traceback__)
    state = request.app.state if "app" in request.scope else None
    pages: tuple[str, ErrorPage | None] = getattr(state, "error_pages", ("", None))
    prefix, page = pages
    if page is not None and f"{path_of(request.scope)}/".startswith(f"{prefix}/"):
        return page(error, request)
    return EnvelopeResponse(failure(error, problem=wants_problem(request)))


async def refuse(error: AlgoplatformError, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an error response outside of the routes."""
    await response_to(error, Request(scope))(scope, receive, send)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AlgoplatformError)
    return response_to(error, request)


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = _MESSAGES.get(error.status_code, ("请求有误", Code.BAD_REQUEST))
    response = response_to(AlgoplatformError(*known), request)
    response.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["allow"] = _allowed(request)
    return response


def _allowed(request: Request) -> str:
    # The framework lists only the methods of the first route with this path, and none for a static file.
    def is_allowed(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return ", ".join(filter(is_allowed, _METHODS)) or "GET, HEAD"
