"""What the commands share: options, settings, and access to the registry."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

from algoplatform.cli.output import say
from algoplatform.cli.registry.local import Local
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings, SettingsError, ignored, load

if TYPE_CHECKING:
    from algoplatform.cli.registry.remote import Remote

T = TypeVar("T")
Registry: TypeAlias = "Local | Remote"
Url = Annotated[str | None, typer.Option("--url", help="服务地址，如http://127.0.0.1:8000；不填则直接使用数据库")]
AsJson = Annotated[bool, typer.Option("--json", help="输出JSON，供程序读取")]


def use_registry(url: str | None, use: Callable[[Registry], Awaitable[T]]) -> T:
    """Run a coroutine function on the registry at the URL, or on the configured database."""
    configured = load_settings()

    async def work() -> T:
        async with open_registry(configured, url) as registry:
            return await use(registry)

    return asyncio.run(work())


@asynccontextmanager
async def open_registry(settings: Settings, url: str | None) -> AsyncIterator[Registry]:
    """Open the service at the URL, or without one the configured database."""
    if url:
        from algoplatform.cli.registry.remote import Remote  # slow to import, and `serve` does not need it

        async with Remote.open(url, settings.token.get_secret_value() if settings.token else "") as remote:
            yield remote
    elif settings.database_url is None:
        raise SettingsError("ALGOPLATFORM_DATABASE_URL未设置，也没有用--url指明服务的地址")
    else:
        async with Runtime.open(settings) as runtime:
            await runtime.require_schema()
            yield Local(runtime)


def load_settings() -> Settings:
    """Load the settings and print a warning for ignored variables; `serve` logs them instead."""
    settings = load()
    for name in ignored():
        say(f"忽略{name}：它是Kubernetes为同名Service设置的，不是端口号", "yellow")
    return settings
