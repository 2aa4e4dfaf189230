"""Parsing outside of the event loop."""

import asyncio
import gc
import json
import time
from collections import deque

import pytest

from algoplatform.catalogue import parsing
from algoplatform.catalogue.parsing import parse, parse_large
from algoplatform.domain.errors import BadRequest
from algoplatform.domain.record.json import parse_json

_LONG = json.dumps({str(number): number for number in range(80_000)}).encode()


async def test_the_thread_rests_between_long_bodies() -> None:
    """After each long body the thread sleeps for as long as parsing took, so that the event loop can run."""

    def alone() -> float:
        began = time.perf_counter()
        parse_json(_LONG)
        return time.perf_counter() - began

    # The thread disables the garbage collector, whose time grows with the objects that other tests have left.
    gc.disable()
    try:
        least = min(alone() for _ in range(5))
    finally:
        gc.enable()
    began = time.perf_counter()
    bodies = await asyncio.gather(*(parse(_LONG) for _ in range(4)))
    assert time.perf_counter() - began > 6 * least
    assert all(body == bodies[0] for body in bodies)


async def test_what_is_wrong_with_a_body_is_told() -> None:
    """Faults of short and of long bodies are reported, and later bodies are still parsed."""
    for content in (b"{", _LONG[:-1]):
        with pytest.raises(BadRequest, match="JSON格式错误"):
            await parse(content)
    assert await parse(b"{}") == {}
    assert len(await parse(_LONG)) == 80_000


@pytest.mark.parametrize("text", ['"\N{GRINNING FACE}"', r'"\ud83d\ude00"', r'"\uD83D\uDE00"'])
async def test_wide_characters_of_large_bodies(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A large body with a character above U+FFFF is refused in any chunks: Python would use 4 bytes per character."""
    content = f'["{"x" * 16}中",{text}]'.encode()
    assert await parse_large(deque([content]), len) == 2
    monkeypatch.setattr(parsing, "_MOST_WIDE", 16)
    for size in range(1, len(content) + 1):
        with pytest.raises(BadRequest, match="不能含有U\\+FFFF以外的字符"):
            await parse_large(deque(content[at : at + size] for at in range(0, len(content), size)), len)
    assert await parse_large(deque([content.replace(text.encode(), rb'"\u4e2d\n"')]), len) == 2
