"""The application as it is served: the web API, and the console below /console unless it is switched off."""

import asyncio
from functools import cache
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from algoplatform.api import app as api
from algoplatform.api.http.errors import install_error_pages
from algoplatform.console import BASE, check_login
from algoplatform.logs import configure_logging
from algoplatform.settings import Settings, load

if TYPE_CHECKING:
    from algoplatform.console.site import Site


def create_app(settings: Settings) -> FastAPI:
    """Build the application with the console, if the settings have one."""
    if not settings.console:
        return api.create_app(settings)
    check_login(settings)
    app = api.create_app(settings, home=f"{BASE}/images")
    console = Console(settings)
    # Unlike a mount, routes leave `root_path` as it is, on which redirects and error pages depend.
    app.router.routes += [Route(BASE, console), Route(f"{BASE}/{{rest:path}}", console)]
    install_error_pages(app, BASE, lambda error, request: console.site().error_page(error, request))
    return app


def app_from_environment() -> FastAPI:
    """Build the application in a worker process, which gets its settings from the environment only."""
    settings = load()
    configure_logging(settings.log_level)
    return create_app(settings)


class Console:
    """The console as an application, imported at its first visit, as templates take 200 ms to load."""

    def __init__(self, settings: Settings) -> None:
        self.site = cache(lambda: _site(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        site = await asyncio.to_thread(self.site)
        await site(scope, receive, send)


def _site(settings: Settings) -> "Site":
    from algoplatform.console.site import Site

    return Site(settings)
