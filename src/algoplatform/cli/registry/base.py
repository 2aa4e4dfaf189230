"""What access by the database and access by HTTP share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import BinaryIO, Final

Advance = Callable[[int], None]
# Maximum number of search results: the largest page of the service.
LIMIT: Final = 1000
# Options of rendering that some rules of lint depend on.
LINT_OPTIONS: Final = ("profile", "cards")


class Unreachable(Exception):
    """The service does not answer."""


def writer(file: BinaryIO) -> Callable[[bytes], Awaitable[None]]:
    """Return a function that writes to the file without blocking the event loop."""

    async def write(data: bytes) -> None:
        await asyncio.to_thread(file.write, data)

    return write
