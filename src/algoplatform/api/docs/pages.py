"""The OpenAPI pages, for networks without internet: the service itself serves everything they load."""

from functools import cache
from importlib.resources import files
from typing import Final

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

# Both libraries set inline styles, and ReDoc searches in a worker made from a blob.
_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "worker-src blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_PAGE: Final = """<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/assets/favicon.png">
{style}
<style>body {{ margin: 0 }}</style>
</head>
<body>
<div id="page"></div>
<script src="docs/assets/{library}"></script>
<script src="docs/pages/{start}"></script>
</body>
</html>
"""
_STYLE: Final = '<link rel="stylesheet" href="docs/assets/swagger-ui.css">'


def mount_pages(app: FastAPI) -> None:
    """Add /openapi.json, /docs (Swagger UI), /redoc and their assets, and redirect / to /docs."""
    swagger = _PAGE.format(
        title="算法平台 · 接口文档", style=_STYLE, library="swagger-ui-bundle.js", start="swagger.js"
    )
    redoc = _PAGE.format(title="算法平台 · 接口参考", style="", library="redoc.standalone.js", start="redoc.js")

    async def home(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs", 307)

    async def swagger_page(request: Request) -> Response:
        return HTMLResponse(swagger, headers=_HEADERS)

    async def redoc_page(request: Request) -> Response:
        return HTMLResponse(redoc, headers=_HEADERS)

    @cache
    def document() -> bytes:
        servers = {"servers": [{"url": app.root_path}]} if app.root_path else {}
        return orjson.dumps(app.openapi() | servers)

    async def openapi(request: Request) -> Response:
        return Response(document(), media_type="application/json")

    app.add_route("/", home, include_in_schema=False)
    app.add_route("/openapi.json", openapi, include_in_schema=False)
    app.add_route("/docs", swagger_page, include_in_schema=False)
    app.add_route("/redoc", redoc_page, include_in_schema=False)
    app.mount("/docs/assets", StaticFiles(directory=str(files("fastapi_offline") / "static")))
    app.mount("/docs/pages", StaticFiles(directory=str(files("algoplatform.api.docs") / "static")))
