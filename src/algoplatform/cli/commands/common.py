"""What the commands share: options, settings, and access to the registry."""

import asyncio
from typing import Annotated, Any

import typer

from algoplatform.cli.output import say
from algoplatform.cli.registry.opening import open_registry
from algoplatform.settings import Settings, ignored, load

Url = Annotated[str | None, typer.Option("--url", help="服务地址，如http://127.0.0.1:8000；不填则直接使用数据库")]

AsJson = Annotated[bool, typer.Option("--json", help="输出JSON，供程序读取")]


def use_registry(url: str | None, use: Any) -> Any:
    """Run a coroutine function on the registry at the URL, or on the configured database."""
    configured = load_settings()

    async def work() -> Any:
        async with open_registry(configured, url) as registry:
            return await use(registry)

    return asyncio.run(work())


def load_settings() -> Settings:
    """Load the settings and print a warning for ignored variables; `serve` logs them instead."""
    settings = load()
    for name in ignored():
        say(f"忽略{name}：它是Kubernetes为同名Service设置的，不是端口号", "yellow")
    return settings
