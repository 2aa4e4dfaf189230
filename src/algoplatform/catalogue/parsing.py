"""Runs long parsing outside of the event loop, in a single thread.

The JSON scanner holds the GIL for as long as it runs. With one such thread the event loop is always next in
line for the GIL; with several it would have to wait for each of them. Between two bodies the event loop would
run a single callback, and receiving a long body takes many: the thread therefore rests after a body for as long
as parsing it took.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from algoplatform.domain.errors import BadRequest
from algoplatform.domain.record.json import parse_json
from algoplatform.domain.record.large_json import parse_large_json

T = TypeVar("T")
Result = TypeVar("Result")

# In bytes: JSON of this size takes 1 to 2 ms to parse, whatever its content.
_SHORT: Final = 32 * 1024
# Commas in a large body, which limit the number of its values: these take up to 300 MiB of memory.
_MOST_COMMAS: Final = 4_000_000
# Bytes: a larger body may have no characters beyond U+FFFF. A single one makes a text take four bytes per character.
_MOST_WIDE: Final = 64 * 1024 * 1024
# How such characters begin: in UTF-8, and as escaped surrogates.
_WIDE: Final = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4", b"\\ud", b"\\uD")
_EDGE: Final = max(map(len, _WIDE)) - 1
# Seconds after which a long job lets other jobs use the thread.
_TURN_SECONDS: Final = 0.03
_THREAD: Final = ThreadPoolExecutor(1, "parsing")


async def off_loop(work: Callable[[], T]) -> T:
    """Run work in the thread, after the jobs already queued; a job should take at most about 50 ms."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, _uncollected, work)


async def in_slices(items: Iterator[T], work: Callable[[T], Result]) -> AsyncIterator[list[Result]]:
    """Do the work on each item in the thread, and yield the results of each slice of time; a slice may have none."""

    def one_slice() -> tuple[list[Result], bool]:
        until = time.monotonic() + _TURN_SECONDS
        found: list[Result] = []
        for item in items:
            if result := work(item):
                found.append(result)
            if time.monotonic() > until:
                return found, True
        return found, False

    more = True
    while more:
        found, more = await off_loop(one_slice)
        yield found


def _uncollected(work: Callable[[], T]) -> T:
    """Run work with the garbage collector disabled.

    With very many new objects, collecting takes longer than the work itself, and JSON values have no cycles.
    """
    if not gc.isenabled():
        return work()
    gc.disable()
    try:
        return work()
    finally:
        gc.enable()


class _Paced:
    """Parses bodies with a rest before the next one; a single body does not wait."""

    def __init__(self) -> None:
        self._until = float("-inf")

    def __call__(self, content: bytes, read: Callable[[bytes], Any]) -> Any:
        began = time.monotonic()
        if began < self._until:
            time.sleep(self._until - began)
            began = time.monotonic()
        try:
            return _uncollected(lambda: read(content))
        finally:
            ended = time.monotonic()
            self._until = 2 * ended - began


_paced: Final = _Paced()


async def parse(content: bytes, read: Callable[[bytes], Any] = parse_json) -> Any:
    """Parse a JSON body, in the event loop if it is short; raises BadRequest."""
    if len(content) <= _SHORT:
        return read(content)
    return await asyncio.get_running_loop().run_in_executor(_THREAD, _paced, content, read)


async def parse_large(blocks: deque[bytes], check: Callable[[Any], T]) -> T:
    """Parse a large JSON body, and return what `check` makes of it; raises BadRequest.

    Takes the blocks from the queue. Runs for seconds, in a thread and in short steps; the caller limits how many
    run at a time.
    """
    return await asyncio.to_thread(_uncollected, lambda: check(_parsed(blocks)))


def _parsed(blocks: deque[bytes]) -> Any:
    if sum(block.count(b",") for block in blocks) > _MOST_COMMAS:
        raise BadRequest(f"请求体中的值超过上限{_MOST_COMMAS}个", malformed=False)
    if sum(map(len, blocks)) > _MOST_WIDE and _is_wide(blocks):
        mebibytes = _MOST_WIDE // 2**20
        raise BadRequest(f"请求体超过{mebibytes}MiB时，不能含有U+FFFF以外的字符，如表情符号", malformed=False)
    return parse_large_json(blocks.popleft() for _ in range(len(blocks)))


def _is_wide(blocks: Iterable[bytes]) -> bool:
    edge = b""
    for block in blocks:
        # An escape may be cut between blocks.
        if any(begin in piece for piece in (edge + block[:_EDGE], block) for begin in _WIDE):
            return True
        edge = (edge + block[-_EDGE:])[-_EDGE:]
    return False
