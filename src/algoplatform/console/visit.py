"""One request for a page, and the decorator that gives a page its address."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlencode

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from algoplatform.api.http.envelope import status_of
from algoplatform.api.http.request import parse_query, read_form
from algoplatform.api.http.urlencoded import Pairs
from algoplatform.api.middleware.authentication import authenticated, caller_of
from algoplatform.console import BASE
from algoplatform.console.wording import Words, language_of
from algoplatform.domain.access import Caller, Scope
from algoplatform.domain.errors import AlgoplatformError, Forbidden, Unauthenticated
from algoplatform.runtime import Runtime

if TYPE_CHECKING:
    from algoplatform.console.site import Site

# The addresses of all pages, in which {image_id:id} is the id of an image.
ROUTES: Final[list[Route]] = []
# With auth=token the browser keeps the token in pieces, which scripts cannot read.
TOKEN_COOKIES: Final = ("token0", "token1", "token2", "token3")
# Percent-encoding triples a text.
_GROWTH: Final = 3
# Bytes of a form with the output of a command in it.
MOST_PASTED: Final = 64 * 1024 * 1024


class Visit(Request):
    """One request for a page: its caller, its address and its language."""

    def __init__(self, site: "Site", request: Request) -> None:
        super().__init__(request.scope, request.receive)
        self.site = site
        self.settings = site.settings
        self.runtime: Runtime = request.scope["state"]["runtime"]
        self.caller: Caller | None = None
        self.words = Words(language_of(self.cookies.get("language"), self.headers.get("accept-language", "")))
        self.root: str = site.settings.root_path
        self.base = self.root + BASE
        # Of pages about an image.
        self.image_id: str = self.path_params.get("image_id", "")
        # Fetched by the script, to be put into a page.
        self.is_part = "x-part" in self.headers
        # Whether images can be looked up in their registries.
        self.has_registries = site.settings.registries is not None

    async def identified(self) -> Caller:
        """Return the caller: as the gateway says, or by the token in the cookies; raises Unauthenticated."""
        if self.settings.auth == "gateway":
            return caller_of(self)
        token = "".join(self.cookies.get(name, "") for name in TOKEN_COOKIES)
        if not token:
            raise Unauthenticated("尚未登录", token_given=False)
        return await self.verified(token)

    async def verified(self, token: str) -> Caller:
        """Return the caller that a token names; raises Unauthenticated."""
        given = [b"Bearer " + token.encode("utf-8", "replace")]
        return await authenticated(self.scope["state"], self.scope["state"]["verifier"], given)

    @property
    def writer(self) -> Caller:
        """The caller of a write."""
        if self.caller is None:
            raise Unauthenticated(self.words("expired"), token_given=False)
        return self.caller

    @cached_property
    def namespaces(self) -> Scope:
        """Where the caller may write; empty if nowhere, None if everywhere."""
        try:
            return self.runtime.access.scope(self.writer)
        except (Forbidden, Unauthenticated):
            return frozenset()

    @property
    def may_write(self) -> bool:
        """Whether there is any image that the caller may write."""
        return self.namespaces is None or bool(self.namespaces)

    def require_writer(self) -> None:
        """Raise Forbidden if the caller may write nowhere."""
        self.runtime.access.scope(self.writer)

    @property
    def address(self) -> str:
        """The path and query asked for, to return to."""
        return str(self.url.replace(scheme="", netloc=""))

    def asked(self, *names: str) -> dict[str, Any]:
        """Return the values of these names in the query; others and blank ones, as forms send them, are ignored."""
        given = parse_query(self.scope["query_string"], "imageId")
        return {name: value for name, value in given.items() if name in names and value}

    async def sent(self, *, large: bool = False) -> Pairs:
        """Return the fields of a form in their order; a large one may hold the output of a command."""
        if large:
            limit = min(MOST_PASTED, self.settings.max_upload_bytes)
            return await read_form(self, limit, self.app.state.large_bodies, large=True)
        return await read_form(self, _GROWTH * self.settings.max_body_bytes, self.app.state.bodies)

    def to(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """Return the address of a page."""
        return self.base + path + (f"?{urlencode(query, doseq=True)}" if query else "")

    def text(self, template: str, **context: Any) -> str:
        load, static = self.site.environment.get_template, f"{self.base}/static/{self.site.version}"
        shared = {"t": self.words, "visit": self, "url": self.to, "static": static, "faults": ()}
        return load(template).render(shared, m=load("macros.html").make_module(shared), **context)

    def render(self, template: str, status: int = 200, /, **context: Any) -> Response:
        return self.page(self.text(template, **context), status)

    def page(self, text: str, status: int = 200) -> Response:
        """Respond with HTML, and the headers of all pages."""
        return HTMLResponse(text, status, self.site.headers)

    def message(self, status: int, title: str, *lines: str, to: str = "/images", key: str = "back_to_list") -> Response:
        """Respond with a page that only says something, and leads on; `title` and `key` are keys of wordings."""
        return self.render("message.html", status, title=title, lines=lines, to=to, key=key, status=status)

    def error(self, error: AlgoplatformError) -> Response:
        """Respond with an error as a page."""
        status = status_of(error)
        title = {403: "forbidden_title", 404: "not_found_title"}.get(status, "error_title")
        response = self.message(status, title, *([fault.message for fault in error.faults] or [error.message]))
        if status in (429, 503):
            response.headers["retry-after"] = "1"
        return response

    def redirect(self, path: str, query: Mapping[str, Any] | None = None) -> Response:
        """Lead on to another page after a form."""
        return RedirectResponse(self.to(path, query), 303)

    def back(self, address: str) -> Response:
        """Return to a page of this console, as login and language do; other addresses lead to the list."""
        is_own = address.startswith(f"{self.base}/") and "\\" not in address and address.isprintable()
        return RedirectResponse(address if is_own else self.to("/images"), 303)


class _ImageId(StringConvertor):
    regex = "[0-9a-f]{32}"


register_url_convertor("id", _ImageId())

Page = Callable[[Visit], Awaitable[Response]]
Group = Literal["anyone", "readers", "writers"]


def page(
    path: str, *methods: str, open_to: Group = "readers", keeps_form: bool = False, routes: list[Route] = ROUTES
) -> Callable[[Page], Page]:
    """Give a page its address below /console.

    A page that is not open to anyone leads to the login if nobody is logged in. With `keeps_form`, it still receives a
    form that was sent then, and shows it again. Writers are callers that may write to some namespace.
    """

    def declare(show: Page) -> Page:
        async def endpoint(request: Request) -> Response:
            request.scope["route"] = label
            visit = Visit(request.scope["console"], request)
            if open_to != "anyone" or visit.settings.auth == "gateway":
                try:
                    visit.caller = await visit.identified()
                except Unauthenticated as error:
                    if not keeps_form or request.method != "POST":
                        return _ask_to_log_in(visit, error)
            if open_to == "writers":
                visit.require_writer()
            return await show(visit)

        route = Route(BASE + path, endpoint, methods=[*methods] or ["GET"])
        # For logs and metrics.
        label = SimpleNamespace(path=route.path_format)
        routes.append(route)
        return show

    return declare


def _ask_to_log_in(visit: Visit, error: Unauthenticated) -> Response:
    """Lead to the login, or answer 401 to what is no navigation."""
    is_navigation = visit.headers.get("sec-fetch-mode", "navigate") == "navigate"
    if visit.method in ("GET", "HEAD") and not visit.is_part and is_navigation:
        return visit.redirect("/login", {"to": visit.address})
    return visit.message(401, "expired", error.message, to="/login", key="log_in_again")
