"""Strict JSON (RFC 8259): UTF-8 only, no NaN, no duplicate names, every flaw a BadRequest that says where."""

import json
from collections import Counter
from typing import Any, NoReturn

from algoplatform.domain.errors import BadRequest, clip


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        times = Counter(name for name, _ in pairs)
        repeated = next(name for name in times if times[name] > 1)
        raise BadRequest(f"JSON对象中字段“{clip(repeated)}”重复")
    return found


def _no_constant(name: str) -> NoReturn:
    raise BadRequest(f"JSON中不能使用{clip(name)}")


DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def decode_utf8(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(f"内容不是UTF-8编码：第{error.start + 1}字节") from None


def not_json(error: ValueError | RecursionError) -> BadRequest:
    """Word what the decoder found wrong."""
    if isinstance(error, json.JSONDecodeError):
        return BadRequest(f"JSON格式错误：第{error.lineno}行第{error.colno}列")
    return BadRequest("JSON格式错误：嵌套过深" if isinstance(error, RecursionError) else "JSON格式错误：数字过长")


def parse_json(data: bytes) -> Any:
    """Read one JSON text; BadRequest tells line and column of the first flaw."""
    try:
        return DECODER.decode(decode_utf8(data))
    except (ValueError, RecursionError) as error:
        raise not_json(error) from None
