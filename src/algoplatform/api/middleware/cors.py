"""CORS: the origins whose pages may call from a browser, and the response to preflights."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from algoplatform.api.http.errors import response_to
from algoplatform.api.middleware.hosts import plain_origin
from algoplatform.domain.errors import BadRequest

_ALLOWED = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id")


class CrossOrigin(CORSMiddleware):
    """CORSMiddleware inside the gate and outside of authentication, as preflights carry no token."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=frozenset(map(plain_origin, origins)),
            allow_methods=["GET", "POST"],
            allow_headers=_ALLOWED,
            expose_headers=["ETag", "Location", "Retry-After", "X-Request-Id"],
        )

    def is_allowed_origin(self, origin: str) -> bool:
        return super().is_allowed_origin(plain_origin(origin))

    def preflight_response(self, request_headers: Headers) -> Response:
        """Respond to a preflight; an error has the same format as all others."""
        response = super().preflight_response(request_headers)
        if response.status_code == 200:
            return response
        asked = Request({"type": "http", "headers": request_headers.raw})
        error = BadRequest("跨域预检未通过：来源、请求方式或请求头不在允许之列")
        refused = response_to(error, asked)
        for name, value in response.headers.items():
            refused.headers.setdefault(name, value)
        return refused
