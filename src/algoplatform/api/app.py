"""The application: routes, pages, exception handlers and middleware."""

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from algoplatform import __version__
from algoplatform.api.docs.document import introduction, publish
from algoplatform.api.docs.pages import mount_pages
from algoplatform.api.http import metrics
from algoplatform.api.http.errors import install_handlers
from algoplatform.api.http.intake import Intake
from algoplatform.api.middleware import authentication
from algoplatform.api.middleware.always_ok import AlwaysOk
from algoplatform.api.middleware.cors import CrossOrigin
from algoplatform.api.middleware.observability import Observability
from algoplatform.api.middleware.request_guard import Gate, Slots
from algoplatform.api.middleware.shortcut import Shortcut
from algoplatform.api.routes import artifacts, dependencies, drift, health, history, images, lint, manifests, plan
from algoplatform.runtime import Runtime, verifying
from algoplatform.settings import Settings

if TYPE_CHECKING:
    from algoplatform.auth.tokens import Verifier

# Bytes of request bodies in flight, at most, per worker.
_BODIES = 16 * 1024 * 1024
# Runs of lint at once, per worker: each reads and parses every record.
_LINTS = 2
# Large renderings and drawings at once, per worker: each takes up to 300 MiB, and a thread for seconds.
_RENDERINGS = 2
# Sets of images that are looked up in registries at once, per worker: each may take minutes.
_VERIFICATIONS = 2
_ROUTERS = (
    images.router,
    history.router,
    manifests.router,
    dependencies.router,
    lint.router,
    drift.router,
    plan.router,
    artifacts.router,
)
_OPERATIONS = [route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute)]


class Application(FastAPI):
    """FastAPI inside of our middleware: its own outer layers would cost a cached search 7 % (decision 053)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._outermost: ASGIApp = super().__call__

    def build_middleware_stack(self) -> ASGIApp:
        """Leave out the outermost layer, which would answer unhandled exceptions in plain text before Observability."""
        stack = super().build_middleware_stack()
        assert isinstance(stack, ServerErrorMiddleware)
        return stack.app

    def wrap(self, middleware: Callable[..., ASGIApp], **options: Any) -> None:
        """Put a middleware around the application and all of its middleware."""
        self._outermost = middleware(self._outermost, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        if self.root_path:
            scope["root_path"] = self.root_path
            # An ingress may have stripped the prefix, but mounts match only on full paths.
            if scope["type"] == "http" and not f"{scope['path']}/".startswith(f"{self.root_path}/"):
                scope["path"] = self.root_path + scope["path"]
        await self._outermost(scope, receive, send)


def create_app(settings: Settings, home: str = "/docs") -> FastAPI:
    """Build the FastAPI application; its lifespan opens and closes the runtime. "/" leads to `home`."""
    verifier = authentication.verifier(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with Runtime.open(settings) as runtime, verifier.keys if verifier else nullcontext():
            # Objects that exist by now are permanent: freeze them, so that garbage collections do not scan them.
            gc.collect()
            gc.freeze()
            async with verifying(runtime):
                with metrics.publishing(runtime.database.usage):
                    yield {"runtime": runtime, "verifier": verifier}

    app = Application(
        title="算法平台 · algoplatform",
        version=__version__,
        description=introduction(),
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Costs something on every request, and we have metrics and logs already.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        openapi_tags=[{"name": "镜像管理", "description": "镜像的操作 · the operations on images"}],
    )
    # Not passed as a parameter, which is deprecated, nor as uvicorn's option, which would require every
    # ingress to strip the path.
    app.root_path = settings.root_path
    for router in (*_ROUTERS, health.router):
        app.include_router(router)
    publish(app, _OPERATIONS, tokens=verifier is not None)
    mount_pages(app, home)
    install_handlers(app)
    _add_limits(app, settings)
    _add_middleware(app, settings, verifier)
    return app


def _add_limits(app: FastAPI, settings: Settings) -> None:
    app.state.figures = health.Figures()
    # Writes hold at most half of the pool. Uploads leave one of these connections to single writes, if there are two.
    uploads = min(settings.max_uploads, max(1, settings.pool_size // 2 - 1))
    app.state.uploads, app.state.exports = Slots(uploads), Slots(settings.max_exports)
    app.state.lints, app.state.renderings = Slots(_LINTS), Slots(_RENDERINGS)
    # Each reads a cluster for seconds and keeps it in memory: drift an index of its objects, a plan its numbers.
    app.state.drifts = Slots(1)
    app.state.plans = Slots(1)
    app.state.verifications = Slots(_VERIFICATIONS)
    # A large body of a rendering stays in memory, parsed, until its response has been sent.
    app.state.large_renderings = Slots(1)
    # Uploads share a budget of bytes on disk. Small and large bodies in memory have one each, so as not to compete.
    app.state.files = Intake(settings.max_uploads * settings.max_upload_bytes)
    app.state.bodies = Intake(max(_BODIES, 4 * settings.max_body_bytes))
    app.state.large_bodies = Intake(settings.max_upload_bytes)


def _add_middleware(app: Application, settings: Settings, verifier: "Verifier | None") -> None:
    """Add the middleware, from the innermost outward."""
    app.wrap(Shortcut, routes=_OPERATIONS)
    if verifier:
        app.wrap(authentication.Authentication, verifier=verifier)
    if settings.cors_origins:
        app.wrap(CrossOrigin, origins=settings.cors_origins)
    app.wrap(Gate, settings=settings)
    app.wrap(Observability)
    if settings.http_status == "always-200":
        app.wrap(AlwaysOk)
