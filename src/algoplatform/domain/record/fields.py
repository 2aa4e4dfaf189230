"""The types of a record's fields, which validate and parse JSON values.

Each type is a Pydantic annotation whose validator raises `Malformed` with the faults of the value; Pydantic
adds the field's name and collects the errors of all fields.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from itertools import takewhile
from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainValidator, ValidationInfo

from algoplatform.domain.errors import Malformed, clip, too_long
from algoplatform.domain.grammar.dependencies import Dependencies
from algoplatform.domain.grammar.environment import Environment
from algoplatform.domain.grammar.paths import AbsolutePath, PathList, PathPairs
from algoplatform.domain.grammar.ports import ImagePorts
from algoplatform.domain.grammar.reference import ImageName, ImageTag
from algoplatform.domain.grammar.shell_words import ShellWords

MAX_TEXT = 4096
MAX_INTEGER = 2**31 - 1
# Unicode normalisation sorts a run of combining marks in quadratic time (see Stream-Safe Text in UAX #15).
MAX_MARKS: Final = 30

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_TAB_NEWLINE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DIGITS = re.compile(r"[0-9]+")
# Significant digits to convert: enough to exceed MAX_INTEGER, few enough to convert in constant time.
_COUNTED = 11
# Control characters that str.isspace() counts as white space, unlike Unicode.
_SEPARATORS: Final = "\x1c\x1d\x1e\x1f"
_HEX_ID = re.compile(r"[0-9a-f]{32}")
# These decompose into combining marks, though their own combining class is 0.
DECOMPOSED_MARKS: Final = "\u0f73\u0f75\u0f81"


def check_text(value: object, *, multiline: bool = False, limit: int = MAX_TEXT) -> str:
    """Validate that PostgreSQL can store and people can read a string, and return it unchanged.

    Raises Malformed. `limit` is in characters.
    """
    if type(value) is not str:
        raise Malformed("须为字符串")
    if len(value) <= limit and value.isascii() and value.isprintable():
        return value
    faults = []
    if len(value) > limit:
        faults.append(too_long(value, limit))
        # Text beyond the limit is not checked further: a mebibyte would take long.
        value = value[:limit]
    if len(value) > MAX_MARKS and not value.isascii():
        start = _too_many_marks(value)
        if start is not None:
            faults.append(f"从第{start + 1}个字符起，连续的组合字符超过{MAX_MARKS}个")
    if not value.isprintable():
        control = (_CONTROL_BUT_TAB_NEWLINE if multiline else _CONTROL).search(value)
        if control:
            faults.append(f"第{control.start() + 1}个字符是控制字符（U+{ord(control[0]):04X}）")
        surrogate = _SURROGATE.search(value)
        if surrogate:
            faults.append(f"第{surrogate.start() + 1}个字符不是合法的Unicode字符")
    if faults:
        raise Malformed(*faults)
    return value


def _too_many_marks(text: str) -> int | None:
    """Return the start of the first run of more than MAX_MARKS combining marks.

    Only every 31st character is tested first, as any such run contains one of them.
    """
    for at in range(MAX_MARKS, len(text), MAX_MARKS + 1):
        if _is_mark(text[at]):
            before = sum(1 for _ in takewhile(_is_mark, reversed(text[at - MAX_MARKS : at])))
            after = sum(1 for _ in takewhile(_is_mark, text[at : at + MAX_MARKS + 1]))
            if before + after > MAX_MARKS:
                return at - before
    return None


def _is_mark(character: str) -> bool:
    return unicodedata.combining(character) > 0 or character in DECOMPOSED_MARKS


def check_range(number: int, first: int, last: int) -> int:
    """Validate that a number is from `first` to `last`; raises Malformed."""
    if not first <= number <= last:
        raise Malformed(f"须为{first}至{last}的整数")
    return number


def check_integer(value: object) -> int:
    """Validate an integer from 0 to 2147483647, or a string of digits; raises Malformed."""
    if type(value) is int and 0 <= value <= MAX_INTEGER:
        return value
    if type(value) is str and _DIGITS.fullmatch(value):
        value = int(value.lstrip("0")[:_COUNTED] or "0")
    if type(value) is not int:
        raise Malformed("须为整数")
    return check_range(value, 0, MAX_INTEGER)


def check_id(value: object) -> str:
    """Validate an image id, 32 lower-case hexadecimal digits; raises Malformed."""
    if type(value) is not str or not _HEX_ID.fullmatch(value):
        raise Malformed("须为32位小写十六进制字符串")
    return value


def is_blank(value: object) -> bool:
    """Return whether a value counts as empty on the wire: null, or a string of white space only."""
    return value is None or (
        type(value) is str and (not value or (value.isspace() and not any(map(value.__contains__, _SEPARATORS))))
    )


def choice(*allowed: str) -> Callable[[object], str]:
    """Return a check for one of the allowed strings."""
    wanted = f"须为{'、'.join(allowed)}{'之一' if len(allowed) > 1 else ''}"

    def check(value: object) -> str:
        if type(value) is not str or value not in allowed:
            shown = f"，不能为“{clip(value)}”" if type(value) is str else "（字符串）"
            raise Malformed(wanted + shown)
        return value

    return check


# Mounts, ports and commands recur across records: cache the results of parsing short values.
_SHORT: Final = 160
_REMEMBERED: Final = 1024


def _ports(value: object, info: ValidationInfo) -> ImagePorts:
    rules: Any = info.context
    read = _known_ports if type(value) is str and len(value) <= _SHORT else _read_ports
    return read(value, rules.node_ports)


def _read_ports(value: object, node_ports: range) -> ImagePorts:
    return ImagePorts.parse(check_text(value), node_ports)


_known_ports = lru_cache(_REMEMBERED)(_read_ports)


def _parsed(parse: Callable[[str], Any], limit: int = MAX_TEXT, described: Any = None) -> PlainValidator:
    def read(value: object) -> Any:
        return parse(check_text(value, limit=limit))

    known = lru_cache(_REMEMBERED)(read)

    def read_or_recall(value: object) -> Any:
        return known(value) if type(value) is str and len(value) <= _SHORT else read(value)

    return PlainValidator(read_or_recall, json_schema_input_type=described or _TEXT)


# The rules as far as JSON Schema can express them, for the OpenAPI document.
NO_CONTROL = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
_TEXT = Annotated[str, Field(max_length=MAX_TEXT, pattern=NO_CONTROL)]
NO_CONTROL_IN_LINES = "^(?:[^\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f]|\\r\\n)*$"
_LINES = Annotated[str, Field(max_length=MAX_TEXT, pattern=NO_CONTROL_IN_LINES)]
_REQUIRED = Annotated[str, Field(max_length=MAX_TEXT, pattern="\\S")]
_NAME = Annotated[str, Field(max_length=255, pattern="^[A-Za-z0-9._:/\\[\\]-]*[a-z0-9]$")]
_TAG = Annotated[str, Field(pattern="^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
_INTEGER = Annotated[int, Field(ge=0, le=MAX_INTEGER)] | Annotated[str, Field(pattern="^(\\s*|0*1?[0-9]{1,9})$")]
HexId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]

Text = Annotated[str, PlainValidator(check_text, json_schema_input_type=_TEXT)]
RequiredText = Annotated[str, PlainValidator(check_text, json_schema_input_type=_REQUIRED)]
MultilineText = Annotated[
    str, PlainValidator(lambda value: check_text(value, multiline=True), json_schema_input_type=_LINES)
]
Integer = Annotated[int, PlainValidator(check_integer, json_schema_input_type=_INTEGER)]
Id = Annotated[str, PlainValidator(check_id, json_schema_input_type=HexId)]
Name = Annotated[ImageName, _parsed(ImageName.parse, 255, _NAME)]
Tag = Annotated[ImageTag, _parsed(ImageTag.parse, 128, _TAG)]
AlgoType = Annotated[str, PlainValidator(choice("0", "1", "2"), json_schema_input_type=Literal["0", "1", "2"])]
UseableFlag = Annotated[str, PlainValidator(choice("0", "1"), json_schema_input_type=Literal["0", "1", ""])]
DeleteFlag = Annotated[str, PlainValidator(choice("0"), json_schema_input_type=Literal["0", ""])]
Ports = Annotated[ImagePorts, PlainValidator(_ports, json_schema_input_type=_TEXT)]
Paths = Annotated[PathList, _parsed(PathList.parse)]
Pairs = Annotated[PathPairs, _parsed(PathPairs.parse)]
Path = Annotated[AbsolutePath, _parsed(AbsolutePath.parse)]
Env = Annotated[Environment, _parsed(Environment.parse)]
Words = Annotated[ShellWords, _parsed(ShellWords.parse)]
DependencyList = Annotated[Dependencies, _parsed(Dependencies.parse)]
