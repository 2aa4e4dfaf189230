"""A JSON array that is written while its members are made."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from algoplatform.catalogue.parsing import in_slices
from algoplatform.catalogue.search import Write

T = TypeVar("T")


class Members:
    """Writes the members of an array after a head, which waits for the first: a failure before it gets an error response."""

    def __init__(self, write: Write, head: bytes) -> None:
        self._write = write
        self._before = head

    async def add(self, items: Iterator[T], form: Callable[[T], bytes]) -> None:
        """Make items and their members off the event loop; `form` returns one or several, comma separated, or none."""
        async for found in in_slices(items, form):
            data = b",".join(found)
            if data:
                data, self._before = self._before + data, b","
            # Nothing is written as well: it fails once the client has gone, which ends a run that finds nothing.
            await self._write(data)

    async def end(self, tail: bytes) -> None:
        await self._write(self._before.removesuffix(b",") + tail)
