"""Lists images, one line each: names are never cut, and the terminal's width selects the other columns."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.cells import cell_len, chop_cells, set_cell_size

from algoplatform.cli.output import visible
from algoplatform.domain.record.model import reference_of

_GAP: Final = "  "
_NARROWEST: Final = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and the width to which it may be cut on a narrow terminal; None if cut values are useless."""

    header: str
    field: str
    cut: int | None = None


# The most useful first: a column that does not fit is left out, later ones that fit are still shown.
_COLUMNS: Final = (
    Column("算法名称", "algoName", 24),
    Column("厂商", "factory", 16),
    Column("类别", "algoType"),
    Column("imageId", "imageId"),
    Column("依赖", "dependencyServiceId", 40),
    Column("可用", "useableFlag"),
    Column("事件类型", "eventType"),
    Column("端口", "imagePorts", 30),
    Column("描述", "algoDesc", 40),
)


def terminal_width() -> int | None:
    """Return the width of the terminal, or COLUMNS if set; None if the output is not a terminal."""
    if not os.environ.get("COLUMNS") and not sys.stdout.isatty():
        return None
    return max(shutil.get_terminal_size().columns, _NARROWEST)


def lines(records: Sequence[Mapping[str, Any]], width: int | None) -> Iterator[str]:
    """Yield the header and a line per image; a name wider than 5/8 of the terminal has a line of its own."""
    names = [visible(reference_of(record)) for record in records]
    most = None if width is None else width * 5 // 8
    first = max((cell_len(name) for name in ("镜像", *names) if most is None or cell_len(name) <= most), default=0)
    columns = _chosen(records, None if width is None else width - first)
    yield _line(["镜像", *(column.header for column, _ in columns)], first, columns)
    for name, record in zip(names, records, strict=True):
        values = [_value(record, column) for column, _ in columns]
        if cell_len(name) > first:
            yield name
            name = ""
        if name or any(values):
            yield _line([name, *values], first, columns)


def wrapped(text: str, width: int | None) -> list[str]:
    """Cut a text into lines of at most a width in cells, at least one; None for one line."""
    shown = visible(text)
    return [shown] if width is None else chop_cells(shown, max(width, _NARROWEST)) or [""]


def _chosen(records: Sequence[Mapping[str, Any]], room: int | None) -> list[tuple[Column, int]]:
    """Choose the columns that fit into the width beside the names, with their widths."""
    whole = {column: _width(records, column) for column in _COLUMNS}
    if room is None:
        return list(whole.items())
    chosen: dict[Column, int] = {}
    for column, natural in whole.items():
        width = min(natural, max(column.cut or natural, cell_len(column.header)))
        if width + len(_GAP) <= room:
            chosen[column] = width
            room -= width + len(_GAP)
    for column, width in chosen.items():
        more = min(whole[column] - width, room)
        chosen[column] += more
        room -= more
    return list(chosen.items())


def _width(records: Sequence[Mapping[str, Any]], column: Column) -> int:
    return max(cell_len(text) for text in (column.header, *(_value(record, column) for record in records)))


def _value(record: Mapping[str, Any], column: Column) -> str:
    value = record.get(column.field)
    return "" if value is None else visible(str(value))


def _line(texts: Sequence[str], first: int, columns: Sequence[tuple[Column, int]]) -> str:
    widths = [first, *(width for _, width in columns)]
    return _GAP.join(map(_fitted, texts, widths)).rstrip()


def _fitted(text: str, width: int) -> str:
    """Pad or cut a text to a width in cells; a Chinese character takes two."""
    return set_cell_size(text, width) if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"
