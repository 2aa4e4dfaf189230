"""Fields of forms and queries, percent-encoded: application/x-www-form-urlencoded."""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from algoplatform.domain.errors import BadRequest

Pairs = list[tuple[str, str]]

FORM: Final = "application/x-www-form-urlencoded"
_MOST_INPUTS: Final = 20_000
# No piece ends within a percent-encoded byte.
_PIECES: Final = re.compile(rb".{1,65536}(?:(?<!%)(?<!%.)|\Z)", re.DOTALL)


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
        name, _, value = part.partition(b"=")
        decode = bytes.decode if part.find(b"%") < 0 and part.find(b"+") < 0 else _decoded
        if part:
            given.append((decode(name), decode(value)))
    return given


def _decoded(text: bytes) -> str:
    """Decode in short steps: at once, a large text would take ten times its size and hold the GIL for seconds."""
    return b"".join(unquote_to_bytes(piece[0].replace(b"+", b" ")) for piece in _PIECES.finditer(text)).decode()
