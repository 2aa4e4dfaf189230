"""Opens a registry: a service by its URL, or the configured database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from algoplatform.cli.registry.base import Registry
from algoplatform.cli.registry.local import Local
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings, SettingsError


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
