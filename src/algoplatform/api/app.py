"""The application: routes, pages, exception handlers and middleware."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from algoplatform import __version__
from algoplatform.api.docs.openapi import DocumentedAPI, introduction
from algoplatform.api.docs.openapi_token import declare_token
from algoplatform.api.docs.pages import mount_pages
from algoplatform.api.http import metrics
from algoplatform.api.http.errors import answer_to, install_handlers
from algoplatform.api.http.intake import Intake
from algoplatform.api.middleware import authentication
from algoplatform.api.middleware.cors import CrossOrigin
from algoplatform.api.middleware.observability import Observability
from algoplatform.api.middleware.request_guard import Gate, Slots
from algoplatform.api.middleware.shortcut import Shortcut
from algoplatform.api.routes import health, history, images
from algoplatform.catalogue.search_cache import KeptAnswers
from algoplatform.logs import configure_logging
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings, load

# Bytes of request bodies in flight, at most, per worker.
_BODIES = 16 * 1024 * 1024


def create_app(settings: Settings) -> FastAPI:
    """Build the FastAPI application; its lifespan opens and closes the runtime."""
    verifier = authentication.verifier(settings)
    always_200 = settings.http_status == "always-200"

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with Runtime.open(settings) as runtime, verifier.keys if verifier else nullcontext():
            # What exists by now stays: freeze it, so that no collection scans it again.
            gc.collect()
            gc.freeze()
            with metrics.publishing(runtime.database.usage):
                yield {"runtime": runtime, "kept": KeptAnswers(runtime.stamps)}

    app = _Application(
        title="算法平台 · algoplatform",
        version=__version__,
        description=introduction(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Costs something on every request, and we have metrics and logs already.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        openapi_tags=[{"name": "镜像管理", "description": "镜像的操作 · the operations on images"}],
    )
    app.add_middleware(Shortcut, routes=images.router.routes, always_200=always_200)
    if verifier:
        app.add_middleware(authentication.Authentication, verifier=verifier, always_200=always_200)
        declare_token(app)
    if settings.cors_origins:
        app.add_middleware(CrossOrigin, origins=settings.cors_origins, always_200=always_200)
    app.add_middleware(Gate, settings=settings)
    app.state.figures = health.Figures()
    # Writes hold at most half of the pool. Uploads leave one of these connections to single writes, if there are two.
    uploads = min(settings.max_uploads, max(1, settings.pool_size // 2 - 1))
    app.state.uploads, app.state.exports = Slots(uploads), Slots(settings.max_exports)
    # Uploads share a budget of bytes on disk; all other bodies share a budget of bytes in memory.
    app.state.files = Intake(settings.max_uploads * settings.max_upload_bytes)
    app.state.bodies = Intake(max(_BODIES, 4 * settings.max_body_bytes))
    # Not passed as a parameter, which is deprecated, nor as uvicorn's option, which would require every
    # ingress to strip the path.
    app.root_path = settings.root_path
    if settings.root_path:
        app.add_middleware(_WithRootPath)
    app.add_middleware(Observability, failed=partial(answer_to, always_200=always_200))
    app.include_router(images.router)
    app.include_router(history.router)
    app.include_router(health.router)
    mount_pages(app)
    install_handlers(app, always_200=always_200)
    return app


class _Application(DocumentedAPI):
    """FastAPI without Starlette's outermost middleware, which costs time on every request.

    Observability takes over what that middleware does.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """Return the stack from our outermost middleware inward."""
        stack: Any = super().build_middleware_stack()
        while not isinstance(stack, Observability):
            stack = stack.app
        return stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request straight to that middleware."""
        if self.middleware_stack is None or scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        if self.root_path:
            scope["root_path"] = self.root_path
        await self.middleware_stack(scope, receive, send)


class _WithRootPath:
    """Restores a path prefix that an ingress has stripped, as mounts match only on full paths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its full path."""
        root = scope.get("root_path", "")
        if scope["type"] == "http" and not f"{scope['path']}/".startswith(f"{root}/"):
            scope["path"] = root + scope["path"]
        await self._app(scope, receive, send)


def app_from_environment() -> FastAPI:
    """Build the application in a worker process, which gets its settings from the environment only."""
    settings = load()
    configure_logging(settings.log_level)
    return create_app(settings)
