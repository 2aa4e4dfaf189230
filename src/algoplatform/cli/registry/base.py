"""What the commands need of a registry, however it is accessed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

Advance = Callable[[int], None]
# Maximum number of search results: the largest page of the service.
LIMIT: Final = 1000


class Unreachable(Exception):
    """The service does not answer."""


class Registry(Protocol):
    """The operations that the commands need."""

    async def search(self, text: str) -> list[dict[str, Any]]:
        """Return the images that contain the text, at most LIMIT."""

    async def export(self, file: BinaryIO) -> None:
        """Write all images to a file, in the format of a `_load` response."""

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]:
        """Import a file, all or nothing; `advance` takes the number of bytes read."""


def writer(file: BinaryIO) -> Callable[[bytes], Awaitable[None]]:
    """Return a function that writes to the file without blocking the event loop."""

    async def write(data: bytes) -> None:
        await asyncio.to_thread(file.write, data)

    return write
