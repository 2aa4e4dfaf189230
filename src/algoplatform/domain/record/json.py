"""Strict JSON (RFC 8259): UTF-8 only, no NaN, no duplicate names; errors name their position."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NoReturn

from algoplatform.domain.errors import BadRequest, clip

_COUNTED: Final = 32


def repeated_name(name: str) -> BadRequest:
    """Build the error of a name that occurs twice in an object."""
    return BadRequest(f"JSON对象中字段“{clip(name)}”重复")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; raises BadRequest for a name that occurs twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        times = Counter(name for name, _ in pairs)
        repeated = next(name for name in times if times[name] > 1)
        raise repeated_name(repeated)
    return found


def _no_constant(name: str) -> NoReturn:
    raise BadRequest(f"JSON中不能使用{clip(name)}")


DECODER: Final = json.JSONDecoder(object_pairs_hook=unique, parse_constant=_no_constant)


def truncated(digits: str) -> int:
    """Return an integer, cut after 32 digits; a cut one is still too large for any field, so the check reports it."""
    return int(digits[:_COUNTED])


# Fallback for text that makes DECODER raise a plain ValueError: it contains an integer with more digits than
# Python converts.
PATIENT: Final = json.JSONDecoder(object_pairs_hook=unique, parse_constant=_no_constant, parse_int=truncated)


def not_json(error: json.JSONDecodeError | RecursionError) -> BadRequest:
    if isinstance(error, json.JSONDecodeError):
        return BadRequest(f"JSON格式错误：第{error.lineno}行第{error.colno}列")
    return BadRequest("JSON格式错误：嵌套过深")


def parse_json(data: bytes, decode: Callable[[str], Any] | None = None) -> Any:
    """Parse one JSON text, which may begin with a BOM; raises BadRequest with the place of the first error.

    `decode` replaces the strict decoder.
    """
    try:
        return (decode or _decode)(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadRequest(f"内容不是UTF-8编码：第{error.start + 1}字节") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise not_json(error) from None


def _decode(text: str) -> Any:
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return PATIENT.decode(text)
