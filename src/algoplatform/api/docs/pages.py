"""The OpenAPI pages, for networks without internet: the service itself serves everything they load."""

from functools import cache
from importlib.resources import files
from typing import Final

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

# Both libraries set inline styles, and ReDoc searches in a worker made from a blob.
_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:;"
    " object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_FILES: Final = files("algoplatform.api.docs")


def mount_pages(app: FastAPI, start: str) -> None:
    """Add /openapi.json, /docs (Swagger UI), /redoc and their assets, and redirect / to `start`."""

    async def home(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{start}", 307)

    @cache
    def document() -> bytes:
        servers = {"servers": [{"url": app.root_path}]} if app.root_path else {}
        return orjson.dumps(app.openapi() | servers)

    async def openapi(request: Request) -> Response:
        return Response(document(), media_type="application/json")

    app.add_route("/", home, include_in_schema=False)
    app.add_route("/openapi.json", openapi, include_in_schema=False)
    for path, name in (("/docs", "swagger.html"), ("/redoc", "redoc.html")):
        page = HTMLResponse((_FILES / "html" / name).read_text("utf-8"), headers=_HEADERS)
        app.routes.append(Route(path, page, methods=["GET"], include_in_schema=False))
    app.mount("/docs/assets", StaticFiles(directory=str(files("fastapi_offline") / "static")))
    app.mount("/docs/pages", StaticFiles(directory=str(_FILES / "static")))
