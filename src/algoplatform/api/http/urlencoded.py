"""Forms as browsers send them without a file: application/x-www-form-urlencoded, in bounded memory and short steps."""

import asyncio
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from algoplatform.api.http.intake import Intake
from algoplatform.api.http.request import read_body
from algoplatform.catalogue.parsing import parse
from algoplatform.domain.errors import BadRequest, MediaTypeRefused

Pairs = list[tuple[str, str]]

_TYPE: Final = "application/x-www-form-urlencoded"
_MOST_INPUTS: Final = 20_000
# No piece ends within a percent-encoded byte.
_PIECES: Final = re.compile(rb".{1,65536}(?:(?<!%)(?<!%.)|\Z)", re.DOTALL)


async def read_form(request: Request, limit: int, intake: Intake, *, large: bool = False) -> Pairs:
    """Return the fields of a form of at most `limit` bytes, in their order; raise BadRequest if it is malformed.

    A large one has a thread of its own, as decoding it takes seconds.
    """
    content = await read_body(request, limit, intake)
    if content and not request.headers.get("content-type", "").lower().startswith(_TYPE):
        raise MediaTypeRefused(f"请求体须为表单：Content-Type须为{_TYPE}")
    found: Pairs = await (asyncio.to_thread(fields_of, content) if large else parse(content, fields_of))
    return found


def fields_of(content: bytes) -> Pairs:
    """Return the fields of a form or query; raise BadRequest if it is malformed."""
    if not content.isascii() or content.count(b"&") >= _MOST_INPUTS:
        raise BadRequest("表单格式错误")
    try:
        parts = [part.partition(b"=") for part in content.split(b"&") if part]
        return [(_decoded(name), _decoded(value)) for name, _, value in parts]
    except UnicodeDecodeError:
        raise BadRequest("表单格式错误") from None


def _decoded(text: bytes) -> str:
    """Decode in short steps: at once, a large text would take ten times its size and hold the GIL for seconds."""
    return b"".join(unquote_to_bytes(piece[0].replace(b"+", b" ")) for piece in _PIECES.finditer(text)).decode()
