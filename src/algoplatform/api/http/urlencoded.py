"""Fields of forms and queries, percent-encoded: application/x-www-form-urlencoded."""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from algoplatform.domain.errors import BadRequest

Pairs = list[tuple[str, str]]

FORM: Final = "application/x-www-form-urlencoded"
_MOST_INPUTS: Final = 20_000
_STEP: Final = 64 * 1024
# No piece ends within a percent-encoded byte.
_PIECES: Final = re.compile(rb".{1,%d}(?:(?<!%%)(?<!%%.)|\Z)" % _STEP, re.DOTALL)


def fields_of(content: bytes) -> Pairs:
    """Return the fields of a form or query; raise BadRequest if it is malformed."""
    if not content.isascii() or content.count(b"&") >= _MOST_INPUTS:
        raise BadRequest("表单格式错误")
    try:
        return split(content)
    except UnicodeDecodeError:
        raise BadRequest("表单格式错误") from None


def split(content: bytes) -> Pairs:
    """Return names and values; raise UnicodeDecodeError if they are not UTF-8. Takes a third of the time of parse_qsl."""
    given: Pairs = []
    for part in content.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            given.append((_decoded(name), _decoded(value)))
    return given


def _decoded(text: bytes) -> str:
    text = text.replace(b"+", b" ")
    if len(text) <= _STEP:
        return unquote_to_bytes(text).decode()
    # In short steps: at once, a large text would take ten times its size in memory and hold the GIL for seconds.
    return b"".join(unquote_to_bytes(piece[0]) for piece in _PIECES.finditer(text)).decode()
