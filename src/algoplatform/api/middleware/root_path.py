"""The path prefix under which an ingress serves the service, `ALGOPLATFORM_ROOT_PATH`."""

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """Restores a path prefix that an ingress has stripped, as mounts match only on full paths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")
        if scope["type"] == "http" and not f"{scope['path']}/".startswith(f"{root}/"):
            scope["path"] = root + scope["path"]
        await self._app(scope, receive, send)
