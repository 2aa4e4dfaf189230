r"""Lists as rows of inputs: `http:8080:30080,metrics:9090` is two rows of name, port and node port.

A text becomes rows only if joining them gives the same text again; otherwise it stays plain text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from algoplatform.domain.faults import Fault
from algoplatform.domain.record.wording import code_of

Row = list[str]

_BARE_COMMA: Final = re.compile(r"(?<!\\),")


@dataclass(frozen=True, slots=True)
class Shape:
    """How the items of a list become rows.

    `columns` names the inputs, the last of which may be `optional`, or have its commas `escaped`.
    """

    columns: tuple[str, ...]
    optional: bool = False
    escaped: bool = False

    def split(self, text: str) -> list[Row] | None:
        """Return the rows of a text, None if they would not join to it again."""
        rows = [self._row(item) for item in self._items(text)] if text else []
        return rows if self.join(rows) == text else None

    def _items(self, text: str) -> list[str]:
        return _BARE_COMMA.split(text) if self.escaped else text.split(",")

    def _row(self, item: str) -> Row:
        row = item.split(":", len(self.columns) - 1)
        row += [""] * (len(self.columns) - len(row))
        return [*row[:-1], row[-1].replace("\\,", ",")] if self.escaped else row

    def join(self, rows: Sequence[Row]) -> str:
        """Return the text of the rows, without those that are empty."""
        return ",".join(self.item(row) for row in rows if is_filled(row))

    def item(self, row: Row) -> str:
        """Return the text of one row."""
        parts = [*row[:-1], row[-1].replace(",", "\\,") if self.escaped else row[-1]]
        if self.optional and not parts[-1]:
            parts.pop()
        return ":".join(parts)

    def row_of(self, rows: Sequence[Row], position: int) -> int | None:
        """Return which row holds the item at a position, counted from 1: a row may hold several or none."""
        of_items = [at for at, row in enumerate(rows) if is_filled(row) for _ in self._items(self.item(row))]
        return of_items[position - 1] if position <= len(of_items) else None

    def faults(self, name: str, rows: Sequence[Row]) -> list[Fault]:
        """Return what rows can hold but their text cannot: a value in the middle that ends in a backslash."""
        filled = [row for row in rows if is_filled(row)]
        ends = [at for at, row in enumerate(filled[:-1], 1) if self.escaped and self.item(row).endswith("\\")]
        return [Fault(name, code_of(name), f"{name}第{at}项的值不能以“\\”结尾，除非是最后一项", at) for at in ends]


def is_filled(row: Row) -> bool:
    """Return whether a row has any text."""
    return any(part.strip() for part in row)


_PAIR: Final = Shape(("source", "target"))
SHAPES: Final = {
    "imagePorts": Shape(("name", "containerPort", "nodePort"), optional=True),
    "imageMount": Shape(("path",)),
    "config": Shape(("path",)),
    "hostPath": _PAIR,
    "subPath": _PAIR,
    "env": Shape(("key", "value"), escaped=True),
    "dependencyServiceId": Shape(("image",)),
}
