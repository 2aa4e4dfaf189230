r"""Lists as rows of inputs: `http:8080:30080,metrics:9090` is two rows of name, port and node port.

A text becomes rows only if joining them gives the same text again; otherwise it stays plain text.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from algoplatform.domain.faults import Fault
from algoplatform.domain.record.wording import code_of

Row = list[str]

_COMMA: Final = re.compile(",")
_BARE_COMMA: Final = re.compile(r"(?<!\\),")


@dataclass(frozen=True, slots=True)
class Shape:
    """How the items of a list become rows: `columns` names the inputs, the last `optional` of which may be empty."""

    columns: tuple[str, ...]
    optional: int = 0
    separator: re.Pattern[str] = _COMMA
    read: Callable[[str], str] = str
    write: Callable[[str], str] = str

    def split(self, text: str) -> list[Row] | None:
        """Return the rows of a text, None if they would not join to it again."""
        rows = [self._row(item) for item in self.separator.split(text)] if text else []
        return rows if self.join(rows) == text else None

    def _row(self, item: str) -> Row:
        *parts, last = item.split(":", len(self.columns) - 1)
        row = [*parts, self.read(last) if parts or len(self.columns) == 1 else last]
        return row + [""] * (len(self.columns) - len(row))

    def join(self, rows: Sequence[Row]) -> str:
        """Return the text of the rows, without those that are empty."""
        return ",".join(self.item(row) for row in rows if is_filled(row))

    def item(self, row: Row) -> str:
        """Return the text of one row."""
        parts = list(row)
        for _ in range(self.optional):
            if not parts[-1]:
                parts.pop()
        if len(parts) == len(self.columns) and len(parts) > 1:
            parts[-1] = self.write(parts[-1])
        return ":".join(parts)

    def row_of(self, rows: Sequence[Row], position: int) -> int | None:
        """Return which row holds the item at a position, counted from 1: a row may hold several or none."""
        seen = 0
        for at, row in enumerate(rows):
            if is_filled(row):
                seen += len(self.separator.split(self.item(row)))
                if position <= seen:
                    return at
        return None

    def faults(self, name: str, rows: Sequence[Row]) -> list[Fault]:
        """Return what rows can hold but their text cannot: a value in the middle that ends in a backslash."""
        filled = [row for row in rows if is_filled(row)]
        if self.separator is _COMMA:
            return []
        message = f"{name}第{{}}项的值不能以“\\”结尾，除非是最后一项"
        ends = [at for at, row in enumerate(filled[:-1], 1) if self.item(row).endswith("\\")]
        return [Fault(name, code_of(name), message.format(at), at) for at in ends]


def is_filled(row: Row) -> bool:
    """Return whether a row has any text."""
    return any(part.strip() for part in row)


_PAIR: Final = Shape(("source", "target"))
SHAPES: Final = {
    "imagePorts": Shape(("name", "containerPort", "nodePort"), optional=1),
    "imageMount": Shape(("path",)),
    "config": Shape(("path",)),
    "hostPath": _PAIR,
    "subPath": _PAIR,
    "env": Shape(
        ("key", "value"),
        separator=_BARE_COMMA,
        read=lambda text: text.replace("\\,", ","),
        write=lambda text: text.replace(",", "\\,"),
    ),
    "dependencyServiceId": Shape(("image",)),
}
