"""Routing: operations and image ids never collide, and each path answers only its own methods."""

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from algoplatform.api.routes.operation import PREFIX, image_router
from tests.support.images import IMAGES

IMAGE = "c675e74e1bc211ea9f600242ac110002"
# Operations on a set, and on one image, of the second part of the contract.
OF_SETS = ("_render", "_lint", "_plan", "_drift", "_verify", "_draft")
OF_ONE = ("manifests", "dependencies", "_impact", "_verify", "artifact")


def routed() -> FastAPI:
    """Return the application's paths for single images, then routes of their own for all of these."""
    router = image_router()

    async def named(request: Request) -> Response:
        return PlainTextResponse(f"{request.scope['route'].path} {request.path_params.get('imageId')}")

    for name in ("", *(f"/{name}" for name in OF_ONE)):
        router.get(f"/{{imageId:imageId}}{name}")(named)
    for name in OF_SETS:
        router.get(f"/{name}")(named)
    app = FastAPI()
    app.include_router(router)
    return app


@pytest.mark.parametrize(
    ("path", "route", "image"),
    [
        *((name, name, None) for name in OF_SETS),
        *((f"{IMAGE}/{name}", f"{{imageId:imageId}}/{name}", IMAGE) for name in OF_ONE),
        (IMAGE, "{imageId:imageId}", IMAGE),
        ("%E5%9B%BE", "{imageId:imageId}", "图"),
    ],
)
async def test_paths_do_not_collide(path: str, route: str, image: str | None) -> None:
    """No image id begins with "_", so the order of the routes does not matter."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(routed()), base_url="http://x") as client:
        assert (await client.get(f"{PREFIX}/{path}")).text == f"{PREFIX}/{route} {image}"


async def test_no_operation_is_an_image(client: httpx.AsyncClient) -> None:
    """An unknown operation is an unknown path, not an unknown image."""
    for path in ("_nothing", f"{IMAGE}/_nothing", f"{IMAGE}/"):
        assert (await client.get(f"{IMAGES}/{path}")).json()["status"] == "-404", path
    assert (await client.get(f"{IMAGES}/{IMAGE}")).json()["status"] == "204"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("_register", "POST"),
        ("_search", "GET, HEAD, POST"),
        (IMAGE, "GET, HEAD"),
        (f"{IMAGE}/_restore", "POST"),
    ],
)
async def test_methods(client: httpx.AsyncClient, path: str, allowed: str) -> None:
    """Another method is refused, and Allow lists all methods of the path."""
    answer = await client.delete(f"{IMAGES}/{path}")
    assert (answer.status_code, answer.json()["status"], answer.headers["allow"]) == (405, "-405", allowed)
