"""The console as an application: its pages, their templates, and what is around them: home, language, static files."""

import hashlib
import mimetypes
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from algoplatform.console.form import CHOICES, GROUPS, UNITS
from algoplatform.console.pages import ROUTES
from algoplatform.console.rows import SHAPES
from algoplatform.console.visit import Visit, page
from algoplatform.console.wording import LANGUAGES
from algoplatform.domain.errors import AlgoplatformError
from algoplatform.domain.record.model import REQUIRED_FIELDS
from algoplatform.planning.graph.svg import STYLE
from algoplatform.settings import Settings

_YEAR: Final = 365 * 24 * 3600
_POLICY: Final = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'"
# What templates know of a record.
_RECORD: Final = {"groups": GROUPS, "shapes": SHAPES, "units": UNITS, "choices": CHOICES, "required": REQUIRED_FIELDS}


class Site:
    """The console's pages, and what all of them share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.environment = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        self.environment.globals |= _RECORD
        self.static = {file.name: file.read_bytes() for file in (files(__package__) / "static").iterdir()}
        # Of the drawing, which may not have styles inside of a page.
        self.static["graph.css"] = STYLE.encode()
        self.version = hashlib.sha256(b"".join(self.static[name] for name in sorted(self.static))).hexdigest()[:12]
        given = settings.console_frame_ancestors.replace("'", "").split()
        ancestors = " ".join(f"'{word}'" if word in ("none", "self") else word for word in given)
        self.headers = {
            "content-security-policy": f"{_POLICY}; frame-ancestors {ancestors}",
            "x-content-type-options": "nosniff",
            # With `no-referrer`, browsers would send `Origin: null` with forms, which the guard rejects.
            "referrer-policy": "same-origin",
            "cache-control": "private, no-cache",
            "vary": "X-Part, Cookie, Accept-Language",
        }
        self._router = Router([*ROUTES, *_login_routes(settings)], redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["console"] = self
        await self._router(scope, receive, send)

    def error_page(self, error: AlgoplatformError, request: Request) -> Response:
        return Visit(self, request).error(error)


def _login_routes(settings: Settings) -> list[Route]:
    if settings.auth == "gateway":
        # It logs people in itself.
        return []
    from algoplatform.console.pages import login  # slow to import, and not needed behind a gateway

    return login.ROUTES


@page("", open_to="anyone")
@page("/", open_to="anyone")
async def home(visit: Visit) -> Response:
    """Lead to the list."""
    return visit.redirect("/images")


@page("/language", "POST", open_to="anyone")
async def set_language(visit: Visit) -> Response:
    """Set the cookie of the language, and return."""
    form = dict(await visit.sent())
    response = visit.back(form.get("to", ""))
    if form.get("language") in LANGUAGES:
        response.set_cookie("language", form["language"], max_age=_YEAR, path=visit.root or "/", samesite="lax")
    return response


@page("/session", open_to="anyone")
async def has_session(visit: Visit) -> Response:
    """Answer whether the caller is logged in: 204 or 401."""
    try:
        await visit.identified()
    except AlgoplatformError:
        return Response(status_code=401)
    return Response(status_code=204)


@page("/static/{version}/{name}", open_to="anyone")
async def static_file(visit: Visit) -> Response:
    """Serve a stylesheet, a script or the icon; their version is part of the address."""
    name = visit.path_params["name"]
    if name not in visit.site.static:
        raise HTTPException(404)
    is_current = visit.path_params["version"] == visit.site.version
    keep = f"public, max-age={_YEAR}, immutable" if is_current else "no-cache"
    headers = {"cache-control": keep, "x-content-type-options": "nosniff"}
    return Response(visit.site.static[name], media_type=mimetypes.guess_type(name)[0], headers=headers)
