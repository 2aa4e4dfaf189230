"""Writes a JSON array while its members are produced."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from algoplatform.catalogue.parsing import in_slices
from algoplatform.catalogue.search import Write

T = TypeVar("T")


class Members:
    """Writes a head and an array's members.

    The head waits for the first member, so that an earlier failure still gets an error response.
    """

    def __init__(self, write: Write, head: bytes) -> None:
        self._write = write
        self._before = head

    async def add(self, items: Iterator[T], form: Callable[[T], bytes]) -> None:
        """Write the members for items, produced off the event loop; `form` returns any number, comma separated."""
        async for found in in_slices(items, form):
            data = b",".join(found)
            if data:
                data, self._before = self._before + data, b","
            # Empty data is written, too: this raises once the client has disconnected, even if nothing is found.
            await self._write(data)

    async def end(self, tail: bytes) -> None:
        await self._write(self._before.removesuffix(b",") + tail)
