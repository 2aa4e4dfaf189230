"""Parsing what is too long for the event loop: one thread does all of it.

The interpreter runs one thread at a time, and a thread in the JSON scanner keeps it for as long as that takes. With one
such thread the event loop is always the next; with several it would wait for each of them.
"""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from algoplatform.domain.record.json import parse_json

T = TypeVar("T")

# Bytes of JSON that are parsed in a millisecond or two, whatever they hold.
_SHORT: Final = 32 * 1024
_THREAD: Final = ThreadPoolExecutor(1, "parsing")


async def off_loop(work: Callable[[], T]) -> T:
    """Do work in the thread, after whatever else waits for it; a turn should take no more than some 50 ms."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, _uncollected, work)


def _uncollected(work: Callable[[], T]) -> T:
    """Do work without the garbage collector: among very many new objects it takes longer than the work, and JSON has no cycles."""
    if not gc.isenabled():
        return work()
    gc.disable()
    try:
        return work()
    finally:
        gc.enable()


async def parse(content: bytes) -> Any:
    """Parse a body of JSON: at once where it is short."""
    return parse_json(content) if len(content) <= _SHORT else await off_loop(lambda: parse_json(content))
