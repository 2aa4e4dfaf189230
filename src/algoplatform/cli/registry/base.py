"""What the commands need of a registry, however it is accessed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

Advance = Callable[[int], None]
# Maximum number of search results: the largest page of the service.
LIMIT: Final = 1000
# Options of rendering that decide what some rules of lint find.
LINT_OPTIONS: Final = ("profile", "cards")


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

    async def render(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the manifests of images, and what there is to know about them."""

    async def graph(self, image: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the graph of dependencies around an image."""

    async def impact(self, image: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a change does to the dependents of an image."""

    async def plan(self, body: object) -> dict[str, Any]:
        """Return how many replicas cameras need, on which cards, and what does not fit."""

    async def lint(self, query: Mapping[str, str], path: Path | None, target: BinaryIO, *, sarif: bool) -> None:
        """Write the findings over the registry or a file: the `res` of an answer, or SARIF."""

    async def compare(self, query: Mapping[str, str], file: BinaryIO) -> dict[str, Any]:
        """Return how a cluster, as kubectl prints it, differs from the registry."""

    async def verify(self, image: str) -> dict[str, Any]:
        """Look an image up in its registry, and return what is known of it."""

    async def verify_set(self, conditions: Mapping[str, str], begin: Advance, advance: Advance) -> dict[str, Any]:
        """Look images up, and return how many there are in each state.

        `begin` takes the total, `advance` the number of images done since the last call.
        """


def writer(file: BinaryIO) -> Callable[[bytes], Awaitable[None]]:
    """Return a function that writes to the file without blocking the event loop."""

    async def write(data: bytes) -> None:
        await asyncio.to_thread(file.write, data)

    return write
