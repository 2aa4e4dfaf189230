"""Parses JSON bodies of up to hundreds of megabytes in short steps, between which other threads can run.

The decoder of the standard library holds the GIL until a value is complete. So it parses only values of up to
some 128 Ki characters; larger objects and arrays are taken apart here.
"""

from collections.abc import Iterator
from typing import Any, Final

from algoplatform.domain.record.file import Cut, JsonReader
from algoplatform.domain.record.json import not_json, repeated_name

# Characters to parse in one step, and characters of the longest text; 4 Mi characters take 5 to 20 ms.
_STEP: Final = 64 * 1024
MAX_TEXT: Final = 4 * 1024 * 1024
# Levels to which objects and arrays larger than a step may be nested.
_DEPTH: Final = 32


def parse_large_json(chunks: Iterator[bytes]) -> Any:
    """Parse one JSON text, which may begin with a BOM; raises BadRequest with the place of the first error."""
    reader = JsonReader(chunks, MAX_TEXT, "单个文本")
    value = _value(reader, _DEPTH)
    if reader.peek():
        raise reader.broken()
    return value


def _value(reader: JsonReader, depth: int) -> Any:
    try:
        return reader.short_value(_STEP)
    except Cut:
        pass
    if not depth:
        raise not_json(RecursionError())
    match reader.peek():
        case "[":
            return [_value(reader, depth - 1) for _ in reader.elements("[", "]")]
        case "{":
            return _object(reader, depth - 1)
    return reader.value()


def _object(reader: JsonReader, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in reader.elements("{", "}"):
        name = reader.key()
        if name in found:
            raise repeated_name(name)
        found[name] = _value(reader, depth)
    return found
