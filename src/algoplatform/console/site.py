"""The pages' common frame: routes, templates, headers, languages and errors."""

import hashlib
import mimetypes
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from algoplatform.api.http.envelope import status_of
from algoplatform.api.http.request import path_of
from algoplatform.console import session
from algoplatform.console.wording import LANGUAGES, Words, language_of
from algoplatform.domain.access import Caller, covers
from algoplatform.domain.access import Scope as Namespaces
from algoplatform.domain.errors import AlgoplatformError, Forbidden, ImageNotFound, Unauthenticated
from algoplatform.domain.record.fields import check_id
from algoplatform.planning.graph.svg import STYLE
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings

BASE: Final = "/console"
_YEAR: Final = 365 * 24 * 3600
_JOINED: Final = re.compile(rb"(?<=[;{,(\[])\n")
_STATIC: Final = ("console.css", "console.js", "icon.svg")
# A first page stays under 40 KiB: no indentation and comments, nor spaces around punctuation outside of strings.
_SPARE: Final = re.compile(rb"^\s*//.*\n|^\s+", re.MULTILINE)
_AROUND: Final = re.compile(rb'("(?:\\.|[^"\\])*"|\'[^\']*\'|`[^`]*`)| *(=>|[!=]==|&&|\|\||[={}(),;:?<>]) *')
# The language button: the languages are named in their own.
_NAMES: Final = {"zh": "中文", "en": "English"}


class Site:
    """The console's pages, and what all of them share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.environment = Environment(
            loader=PackageLoader("algoplatform.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        folder = files("algoplatform.console") / "static"
        self.static = {name: _SPARE.sub(b"", (folder / name).read_bytes()) for name in _STATIC}
        self.static["console.js"] = _JOINED.sub(b"", _AROUND.sub(rb"\1\2", self.static["console.js"]))
        # Of the drawing, which may not have styles inside of a page.
        self.static["graph.css"] = STYLE.encode()
        self.version = hashlib.sha256(b"".join(self.static.values())).hexdigest()[:12]
        self._router = Router(routes=[*self._routes()], redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with a page."""
        await self._router(scope, receive, send)

    def _routes(self) -> list[Route]:
        from algoplatform.console.pages import PAGES

        own = [
            ("", ("GET",), home),
            ("/", ("GET",), home),
            ("/language", ("POST",), set_language),
            ("/static/{version}/{name}", ("GET",), static_file),
        ]
        return [
            *(self._route(path, methods, page, public=True) for path, methods, page in (*own, *session.PAGES)),
            *(self._route(path, methods, page) for path, methods, page in PAGES),
        ]

    def _route(self, path: str, methods: tuple[str, ...], page: "Page", *, public: bool = False) -> Route:
        label = SimpleNamespace(path=BASE + path)

        async def endpoint(request: Request) -> Response:
            # The label of logs and metrics.
            request.scope["route"] = label
            visit = Visit(self, request)
            if not public or self.settings.auth == "gateway":
                try:
                    visit.caller = await session.caller_of(request, self.settings)
                except Unauthenticated as error:
                    if not getattr(page, "keeps_form", False) or request.method != "POST":
                        return session.ask_to_log_in(visit, error)
            return await page(visit)

        return Route(BASE + path, endpoint, methods=[*methods])

    def error_page(self, error: AlgoplatformError, request: Request) -> Response:
        """Word an error as a page."""
        return Visit(self, request).error(error)


class Visit:
    """One request for a page: its caller, its address and its language."""

    def __init__(self, site: Site, request: Request) -> None:
        self.site = site
        self.request = request
        self.settings = site.settings
        self.caller: Caller | None = None
        self.language = language_of(request.cookies.get("language"), request.headers.get("accept-language", ""))
        self.words = Words(self.language)
        self.root: str = site.settings.root_path
        self.base = self.root + BASE
        # Fetched by the script, to be put into a page.
        self.is_part = "x-part" in request.headers

    @property
    def runtime(self) -> Runtime:
        """The use cases."""
        runtime: Runtime = self.request.scope["state"]["runtime"]
        return runtime

    @property
    def writer(self) -> Caller:
        """The caller of a write."""
        if self.caller is None:
            raise Unauthenticated(self.words("expired"), token_given=False)
        return self.caller

    @cached_property
    def namespaces(self) -> Namespaces:
        """Where the caller may write; empty if nowhere, None if everywhere."""
        if self.caller is None:
            return frozenset()
        try:
            return self.runtime.access.scope(self.caller)
        except Forbidden:
            return frozenset()

    @property
    def may_write(self) -> bool:
        """Whether there is any image that the caller may write."""
        return self.namespaces is None or bool(self.namespaces)

    def may(self, namespace: str | None) -> bool:
        """Return whether the caller may write images of this namespace."""
        return covers(self.namespaces, namespace)

    def require_writer(self) -> None:
        """Raise Forbidden if the caller may write nowhere."""
        self.runtime.access.scope(self.writer)

    @property
    def image_id(self) -> str:
        """The image id in the path; raises ImageNotFound if it is malformed."""
        given: str = self.request.path_params["image_id"]
        try:
            return check_id(given)
        except ValueError:
            raise ImageNotFound(given) from None

    @property
    def address(self) -> str:
        """The path and query asked for, to return to."""
        path = self.root + quote(path_of(self.request.scope))
        query = self.request.scope["query_string"].decode("latin-1")
        return f"{path}?{query}" if query else path

    def url(self, path: str, query: Any = None) -> str:
        """Return the address of a page; `query` is a mapping or pairs, of which blank ones fall away."""
        pairs = query.items() if isinstance(query, dict) else query or ()
        given = [(name, value) for name, value in pairs if value not in (None, "")]
        return self.base + path + (f"?{urlencode(given)}" if given else "")

    @staticmethod
    def utc(moment: datetime) -> str:
        """Word a time; the script shows it in the reader's zone."""
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

    def text(self, template: str, **context: Any) -> str:
        """Render a template."""
        other = next(name for name in LANGUAGES if name != self.language)
        return self.site.environment.get_template(template).render(
            t=self.words,
            visit=self,
            url=self.url,
            static=f"{self.base}/static/{self.site.version}",
            other=(other, _NAMES[other]),
            **context,
        )

    def render(self, template: str, status: int = 200, /, **context: Any) -> Response:
        """Respond with a page."""
        return self.page(self.text(template, **context), status)

    def page(self, text: str, status: int = 200) -> Response:
        """Respond with HTML, and the headers of all pages."""
        given = self.settings.console_frame_ancestors.replace("'", "").split()
        ancestors = " ".join(f"'{word}'" if word in ("none", "self") else word for word in given)
        headers = {
            "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none';"
            f" form-action 'self'; frame-ancestors {ancestors}",
            "x-content-type-options": "nosniff",
            # With `no-referrer`, browsers would send `Origin: null` with forms, which the guard rejects.
            "referrer-policy": "same-origin",
            "cache-control": "private, no-cache",
            "vary": "X-Part, Cookie, Accept-Language",
        }
        return HTMLResponse(text, status, headers)

    def redirect(self, path: str, query: Any = None) -> Response:
        """Lead on to another page after a form."""
        return RedirectResponse(self.url(path, query), 303)

    def error(self, error: AlgoplatformError, status: int | None = None) -> Response:
        """Respond with an error as a page."""
        status = status or status_of(error)
        response = self.render("error.html", status, error=error, status=status)
        if status in (429, 503):
            response.headers["retry-after"] = "1"
        return response

    def is_own(self, address: str) -> bool:
        """Return whether an address is a page of this console: login and language lead nowhere else."""
        return address.startswith((f"{self.base}/", f"{self.base}?")) and "\\" not in address and address.isprintable()


Page = Callable[[Visit], Awaitable[Response]]


async def home(visit: Visit) -> Response:
    """Lead to the list."""
    return visit.redirect("/images")


async def set_language(visit: Visit) -> Response:
    """Set the cookie of the language, and return."""
    from algoplatform.console.reading import read_form

    form = dict(await read_form(visit))
    to = form.get("to", "")
    response = RedirectResponse(to if visit.is_own(to) else visit.url("/images"), 303)
    if form.get("language") in LANGUAGES:
        response.set_cookie("language", form["language"], max_age=_YEAR, path=visit.root or "/", samesite="lax")
    return response


async def static_file(visit: Visit) -> Response:
    """Serve the stylesheet, the module and the icon; their version is part of the address."""
    name = visit.request.path_params["name"]
    content = visit.site.static.get(name)
    if content is None:
        return visit.error(PageNotFound())
    is_current = visit.request.path_params["version"] == visit.site.version
    keep = f"public, max-age={_YEAR}, immutable" if is_current else "no-cache"
    return Response(
        content,
        media_type=mimetypes.guess_type(name)[0],
        headers={"cache-control": keep, "x-content-type-options": "nosniff"},
    )


class PageNotFound(AlgoplatformError):
    """There is no such page."""

    code = ImageNotFound.code
    message = "页面不存在"
