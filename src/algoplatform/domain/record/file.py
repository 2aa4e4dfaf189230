"""A streaming parser for files of records: a `_load` response (the envelope), its `res` alone, or a list.

file     = envelope | records | list
envelope = "{" members with "res": records, and "status", "msg" in any place "}"
records  = "{" [ imageId ":" record { "," imageId ":" record } ] "}"
list     = "[" [ record { "," record } ] "]"
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from algoplatform.domain.errors import BadRequest
from algoplatform.domain.record.json import DECODER, PATIENT, not_json, repeated_name
from algoplatform.domain.record.model import INPUTS

MAX_RECORD: Final = 1024 * 1024
_ENVELOPE: Final = ("status", "res", "msg")
FORMS: Final = "文件须为_load下载的内容、其中的res（imageId: 镜像信息），或镜像信息的列表[…]"
_SPACE: Final = re.compile(r"[ \t\r\n]*+")
# If a chunk ends within a number, the decoder may leave `e+` unread; within other values, up to `-Infinit`.
_CUT_NUMBER: Final = 2
_CUT: Final = 8


def read_records(chunks: Iterator[bytes]) -> Iterator[tuple[str | None, Any]]:
    """Yield key (None in a list) and parsed value of each record; raises BadRequest for an invalid file."""
    reader = JsonReader(chunks)
    if reader.peek() == "[":
        for _ in reader.elements("[", "]"):
            yield None, reader.value()
    elif reader.peek() == "{":
        yield from _object(reader)
    else:
        raise BadRequest(f"{reader.broken()}；{FORMS}" if reader.peek() else "文件为空")
    if reader.peek():
        raise reader.broken()


def _object(reader: "JsonReader") -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    bare = False
    for _ in reader.elements("{", "}"):
        key = reader.key()
        if key in seen:
            raise repeated_name(key)
        if key not in _ENVELOPE:
            bare = True
            yield key, _record(reader, key)
            continue
        seen.add(key)
        if key == "res":
            yield from _records(reader)
        else:
            reader.value()
    if bare and seen:
        raise BadRequest("文件的res之外还有镜像信息")
    if seen and "res" not in seen:
        raise BadRequest(f"文件中没有res；{FORMS}")


def _records(reader: "JsonReader") -> Iterator[tuple[str, Any]]:
    if reader.peek() != "{":
        raise BadRequest(f"文件的res须为JSON对象；{FORMS}") if reader.peek() else reader.broken()
    for _ in reader.elements("{", "}"):
        key = reader.key()
        yield key, _record(reader, key)


def _record(reader: "JsonReader", key: str) -> Any:
    """Parse a record; raises BadRequest if its key reveals a file of another form."""
    if key == "data" and reader.peek() == "[":
        raise BadRequest(f"文件是查询结果（data），不能上传；{FORMS}")
    if key in INPUTS and reader.peek() not in ("{", ""):
        raise BadRequest(f"文件是单条镜像信息，须放在列表中；{FORMS}")
    return reader.value()


class Cut(Exception):
    """A value continues beyond what has been read so far."""


class JsonReader:
    """A JSON reader over text that arrives in chunks; buffers at most one value of `most` characters and one chunk."""

    def __init__(self, chunks: Iterator[bytes], most: int = MAX_RECORD, what: str = "单条镜像信息") -> None:
        self._chunks = chunks
        self._most = most
        self._what = what
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._before = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next character other than white space without consuming it; empty at the end."""
        blanks = 0
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found
            blanks += found.end() - self._at
            self._at = found.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if blanks > MAX_RECORD:
                # All imports share the parsing thread, which can switch between them only between records.
                raise BadRequest(f"连续的空白字符超过上限{MAX_RECORD}个：到第{self._before + self._at}个字符为止")
            if not self._fill():
                return ""

    def elements(self, opening: str, closing: str) -> Iterator[None]:
        """Yield at each element of an array or object; the caller then parses the element."""
        self._take(opening)
        if self.peek() != closing:
            yield
            while self.peek() == ",":
                self._take(",")
                yield
        self._take(closing)

    def key(self) -> str:
        """Parse a member's name and the colon after it."""
        if self.peek() != '"':
            raise self.broken()
        name: str = self.value()
        self._take(":")
        return name

    def short_value(self, length: int) -> Any:
        """Parse a value if it ends within the next chunk or `length` characters; else raise Cut, and consume nothing."""
        while len(self._text) - self._at < length and self._fill():
            pass
        return self._value(self._stop)

    def value(self) -> Any:
        """Parse any JSON value, reading more chunks until it is complete."""
        return self._value(self._may_grow)

    def _value(self, may_grow: Callable[[], bool]) -> Any:
        self.peek()
        decoder = DECODER
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not (self._is_cut(error) and may_grow()):
                    raise self.broken(error.pos) from None
            except (ValueError, RecursionError, BadRequest) as error:
                decoder = self._other_decoder(error)
            else:
                # A number at the end of the text may continue in the next chunk.
                whole = type(value) not in (int, float) or end + _CUT_NUMBER < len(self._text)
                if whole or not may_grow():
                    self._at = end
                    return value

    def broken(self, at: int | None = None) -> BadRequest:
        """Build the error for invalid JSON at the current position, or at `at`, an index into the buffer."""
        return BadRequest(f"JSON格式错误：第{self._before + (self._at if at is None else at) + 1}个字符")

    def _other_decoder(self, error: Exception) -> json.JSONDecoder:
        """Return the decoder to retry with after DECODER has failed; raises BadRequest if none can help."""
        if isinstance(error, RecursionError):
            raise not_json(error) from None
        if isinstance(error, BadRequest):
            raise BadRequest(f"{error}：在第{self._before + self._at + 1}个字符起的值中") from None
        return PATIENT

    def _take(self, expected: str) -> None:
        if self.peek() != expected:
            raise self.broken()
        self._at += 1

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Return whether the decoder may have failed only because the text ends here."""
        return error.pos + _CUT >= len(self._text) or error.msg.startswith("Unterminated string")

    def _stop(self) -> bool:
        if not self._ended:
            raise Cut
        return False

    def _may_grow(self) -> bool:
        """Double the unread text, so that a long value is not decoded again for each chunk; False at the end.

        Raises BadRequest if a value exceeds the limit.
        """
        unread = len(self._text) - self._at
        if unread > self._most:
            raise BadRequest(f"{self._what}超过上限{self._most}个字符：从第{self._before + self._at + 1}个字符起")
        grown = self._fill()
        while len(self._text) - self._at < min(2 * unread, self._most) and self._fill():
            pass
        return grown

    def _fill(self) -> bool:
        if self._ended:
            return False
        chunk = next(self._chunks, b"")
        self._ended = not chunk
        try:
            fresh = self._decoder.decode(chunk, final=self._ended)
        except UnicodeDecodeError:
            raise BadRequest("文件不是UTF-8编码") from None
        self._before += self._at
        self._text = self._text[self._at :] + fresh
        self._at = 0
        return True
