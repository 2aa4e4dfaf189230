"""The application as it is served: the web API, and the console below /console unless it is switched off."""

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from algoplatform.api import app as api
from algoplatform.api.http.errors import install_error_pages
from algoplatform.api.http.request import path_of
from algoplatform.domain.errors import AlgoplatformError
from algoplatform.logs import configure_logging
from algoplatform.settings import Settings, load

if TYPE_CHECKING:
    from algoplatform.console.site import Site

PREFIX: Final = "/console"


def create_app(settings: Settings) -> FastAPI:
    """Build the application with the console, if the settings have one."""
    if not settings.console:
        return api.create_app(settings)
    settings.check_login()
    app = api.create_app(settings, home=f"{PREFIX}/images")
    console = Console(settings)
    app.router.routes.append(console)
    install_error_pages(app, PREFIX, console.error_page)
    return app


def app_from_environment() -> FastAPI:
    """Build the application in a worker process, which gets its settings from the environment only."""
    settings = load()
    configure_logging(settings.log_level)
    return create_app(settings)


class Console(BaseRoute):
    """Routes everything below /console; imported at the first visit, as templates take 250 ms to load.

    Unlike a mount it leaves `root_path` as it is, on which redirects and error pages depend.
    """

    path = PREFIX

    def __init__(self, settings: Settings) -> None:
        self._load = cache(lambda: _site(settings))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match all paths below /console."""
        is_below = scope["type"] == "http" and f"{path_of(scope)}/".startswith(f"{PREFIX}/")
        return (Match.FULL if is_below else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        """Raise NoMatchFound: pages name their own addresses."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to its page."""
        site = await asyncio.to_thread(self._load)
        await site(scope, receive, send)

    def error_page(self, error: AlgoplatformError, request: Request) -> Response:
        """Word an error as a page."""
        return self._load().error_page(error, request)


def _site(settings: Settings) -> "Site":
    from algoplatform.console.site import Site

    return Site(settings)
