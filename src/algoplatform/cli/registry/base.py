"""The two ways in which the command line reaches a registry: its database, with the web's own use cases, or its HTTP address."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from algoplatform.domain.access import OPERATOR
from algoplatform.domain.search import Conditions, check_conditions
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings
from algoplatform.storage.images import edges
from algoplatform.storage.images.edges import Drift

Advance = Callable[[int], None]
# Images that a search gives at most: as many as the service puts on one page.
LIMIT: Final = 1000


class Unreachable(Exception):
    """The service at the address does not answer."""


class Registry(Protocol):
    """What the commands need of a registry."""

    async def search(self, text: str) -> list[dict[str, Any]]: ...

    async def export(self, file: BinaryIO) -> None: ...

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]: ...


@asynccontextmanager
async def open_registry(settings: Settings, url: str | None) -> AsyncIterator[Registry]:
    """Reach the registry at the URL, or else the database of the settings."""
    if url:
        from algoplatform.cli.registry.remote import Remote  # takes long to load, and `serve` needs none

        async with Remote.open(url, settings.token.get_secret_value() if settings.token else "") as remote:
            yield remote
    else:
        async with Runtime.open(settings) as runtime:
            await runtime.require_schema()
            yield Local(runtime)


class Local:
    """A registry by its database."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def search(self, text: str) -> list[dict[str, Any]]:
        """Find the images that hold the text."""
        found = await self._runtime.searches.find(check_conditions({"searchCondition": text, "pageSize": LIMIT}))
        return [json.loads(record) for record in found.records]

    async def export(self, file: BinaryIO) -> None:
        """Write every image to a file, as _load answers it."""
        file.write(b'{"status":"0","res":{')
        async with self._runtime.database.connection(stream=True) as connection:
            await self._runtime.transfer.export(connection, Conditions(), writer(file))
        file.write('},"msg":"镜像下载成功"}'.encode())

    async def drift(self, tell: Callable[[Drift], None]) -> None:
        """Tell of every edge that differs from the records, which only the database shows."""
        async with self._runtime.database.connection() as connection:
            async for found in edges.drift(connection):
                tell(found)

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]:
        """Import a file, all or nothing."""
        with path.open("rb") as file:
            async with self._runtime.database.connection(write=True) as connection:
                counts = await self._runtime.transfer.load(
                    connection, OPERATOR, file, dry_run=dry_run, progress=advance
                )
        return {name: getattr(counts, name) for name in counts.__slots__}


def writer(file: BinaryIO) -> Callable[[bytes], Awaitable[None]]:
    """Write to a file without keeping the event loop waiting."""

    async def write(data: bytes) -> None:
        await asyncio.to_thread(file.write, data)

    return write
