"""Multipart forms (RFC 7578): the file is the part named `file`, with or without a file name.

Short fields beside it are kept too.
"""

from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MAX_BOUNDARY_LENGTH, MultipartParser, parse_options_header

from algoplatform.domain.errors import BadRequest

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_NAME: Final = b"file"
# Maximum parts of a form, characters of its Content-Type, and bytes of its file that are kept in memory, not on disk.
_MOST_PARTS: Final = 64
_MAX_CONTENT_TYPE: Final = 1024
_IN_MEMORY: Final = 64 * 1024
# Bytes of the name and of the value of a field beside the file; longer ones are dropped.
_MAX_FIELD: Final = 256
_BROKEN: Final = "表单格式错误，须为含一个文件字段file的multipart/form-data"


class PlainFile:
    """Keeps a body that is the file itself, on disk if it is large.

    Its methods block, so they have to be called in a thread.
    """

    def __init__(self) -> None:
        self._file = cast(BinaryIO, SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - `take` hands it on
        self.fields: dict[str, str] = {}

    def write(self, piece: bytes) -> None:
        """Add the next piece."""
        self._file.write(piece)

    def take(self) -> BinaryIO:
        """Return the file, which the caller closes."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        self._file.close()


class FileForm(PlainFile):
    """Parses a form piece by piece and keeps its file and short fields."""

    def __init__(self, content_type: str) -> None:
        # A boundary and other parameters take a few hundred characters; parsing thousands of parameters takes long.
        known = len(content_type) <= _MAX_CONTENT_TYPE
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"") if known else b""
        if not 0 < len(boundary) <= MAX_BOUNDARY_LENGTH:
            raise BadRequest(_BROKEN)
        super().__init__()
        self._parser = MultipartParser(boundary, self._callbacks())
        self._part = 0
        self._header = self._value = b""
        self._is_file = False
        self._name = self._text = b""
        # The number of the part that supplied the file's bytes; a blank input of the same name supplies none.
        self._owner: int | None = None
        self._is_named = self._is_whole = False

    def write(self, piece: bytes) -> None:
        """Parse the next piece; raise BadRequest if the form is malformed."""
        try:
            self._parser.write(piece)
        except FormParserError:
            raise BadRequest(_BROKEN) from None

    def take(self) -> BinaryIO:
        """Return the file, which the caller closes; raise BadRequest if file or form end is missing."""
        if not self._is_whole:
            raise BadRequest(_BROKEN)
        if not self._is_named:
            raise BadRequest("缺少文件：表单字段file不能为空")
        return super().take()

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._take_header,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_part_data": self._take_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._part += 1
        if self._part > _MOST_PARTS:
            raise BadRequest(f"表单字段超过上限{_MOST_PARTS}个")
        self._header = self._value = self._name = self._text = b""
        self._is_file = False

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._name = parse_options_header(self._value)[1].get(b"name", b"")
            self._is_file = self._name == _NAME
            self._is_named = self._is_named or self._is_file
        self._header = self._value = b""

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._text += data[start : min(end, start + _MAX_FIELD + 1 - len(self._text))]
            return
        if self._owner not in (None, self._part):
            raise BadRequest("表单字段file重复")
        self._owner = self._part
        self._file.write(data[start:end])

    def _end_part(self) -> None:
        if self._name and not self._is_file and max(len(self._name), len(self._text)) <= _MAX_FIELD:
            self.fields[self._name.decode("utf-8", "replace")] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self._is_whole = True
