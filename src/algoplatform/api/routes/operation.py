"""The route class of the operations: handlers take the request and return the response.

A handler declares neither parameters nor dependencies: the API document's messages, and its handling of aliases
and blanks, rule out FastAPI's own validation. The OpenAPI document comes from the route's `openapi_extra`.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

PREFIX: Final = "/algoPlatform/images"
TAGS: Final = ["镜像管理"]


class Operation(APIRoute):
    """A route that calls its endpoint directly, without FastAPI's parameters, dependencies and response models."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


class _ImageId(StringConvertor):
    """An image id in a path; operations begin with "_" and do not match."""

    regex = "[^/_][^/]*"


register_url_convertor("imageId", _ImageId())


def image_router() -> APIRouter:
    return APIRouter(prefix=PREFIX, tags=[*TAGS], route_class=Operation)
