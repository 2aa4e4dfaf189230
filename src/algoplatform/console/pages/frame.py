"""What is around the pages: home, language, stylesheets and scripts."""

import mimetypes
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from algoplatform.console.visit import Visit, page
from algoplatform.console.wording import LANGUAGES

_YEAR: Final = 365 * 24 * 3600


@page("", public=True)
@page("/", public=True)
async def home(visit: Visit) -> Response:
    """Lead to the list."""
    return visit.redirect("/images")


@page("/language", "POST", public=True)
async def set_language(visit: Visit) -> Response:
    """Set the cookie of the language, and return."""
    form = dict(await visit.sent())
    response = visit.back(form.get("to", ""))
    if form.get("language") in LANGUAGES:
        response.set_cookie("language", form["language"], max_age=_YEAR, path=visit.root or "/", samesite="lax")
    return response


@page("/static/{version}/{name}", public=True)
async def static_file(visit: Visit) -> Response:
    """Serve a stylesheet, a script or the icon; their version is part of the address."""
    name = visit.path_params["name"]
    if name not in visit.site.static:
        raise HTTPException(404)
    is_current = visit.path_params["version"] == visit.site.version
    keep = f"public, max-age={_YEAR}, immutable" if is_current else "no-cache"
    headers = {"cache-control": keep, "x-content-type-options": "nosniff"}
    return Response(visit.site.static[name], media_type=mimetypes.guess_type(name)[0], headers=headers)
