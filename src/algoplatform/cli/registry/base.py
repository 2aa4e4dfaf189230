"""Access to a registry: directly by its database, with the use cases of the service, or by HTTP."""

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
# Maximum number of search results: the largest page of the service.
LIMIT: Final = 1000


class Unreachable(Exception):
    """The service does not answer."""


class Registry(Protocol):
    """The operations that the commands need."""

    async def search(self, text: str) -> list[dict[str, Any]]: ...

    async def export(self, file: BinaryIO) -> None: ...

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]: ...


@asynccontextmanager
async def open_registry(settings: Settings, url: str | None) -> AsyncIterator[Registry]:
    """Open the service at the URL, or without one the configured database."""
    if url:
        from algoplatform.cli.registry.remote import Remote  # slow to import, and `serve` does not need it

        async with Remote.open(url, settings.token.get_secret_value() if settings.token else "") as remote:
            yield remote
    else:
        async with Runtime.open(settings) as runtime:
            await runtime.require_schema()
            yield Local(runtime)


class Local:
    """A registry accessed through its database."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def search(self, text: str) -> list[dict[str, Any]]:
        """Return the images that contain the text."""
        found = await self._runtime.searches.find(check_conditions({"searchCondition": text, "pageSize": LIMIT}))
        return [json.loads(record) for record in found.records]

    async def export(self, file: BinaryIO) -> None:
        """Write all images to a file, in the format of a `_load` response."""
        file.write(b'{"status":"0","res":{')
        async with self._runtime.database.connection(stream=True) as connection:
            await self._runtime.transfer.export(connection, Conditions(), writer(file))
        file.write('},"msg":"镜像下载成功"}'.encode())

    async def drift(self, tell: Callable[[Drift], None]) -> None:
        """Call `tell` with every edge that differs from the records; only the database can show those."""
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
    """Return a function that writes to the file without blocking the event loop."""

    async def write(data: bytes) -> None:
        await asyncio.to_thread(file.write, data)

    return write
