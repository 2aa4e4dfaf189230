"""Tables for the commands: any stored text is shown safely, and stays readable on a narrow terminal."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from algoplatform.domain.errors import FileRefused

# Short columns, whose values are useless when wrapped.
_WHOLE: Final = frozenset({"字段", "状态码"})


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """Return a table of the rows; text that does not fit into a column is wrapped."""
    shown = Table(title=title, title_justify="left", show_lines=True)
    for header in headers:
        shown.add_column(header, overflow="fold", no_wrap=header in _WHOLE)
    for row in rows:
        shown.add_row(*map(_cell, row))
    return shown


def faults_of(error: FileRefused) -> Table:
    """Return a table of the faults in a file."""
    rows = ((item.image, item.fault.field, item.fault.code, item.fault.message) for item in error.record_faults)
    shown = table(("镜像", "字段", "状态码", "错误"), rows, f"文件中有{error.total}处错误，未写入任何数据")
    more = error.total - len(error.record_faults)
    shown.caption = f"另有{more}处错误未列出" if more > 0 else None
    return shown


def visible(text: str) -> str:
    """Escape unprintable characters, so that no text can control the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _cell(value: object) -> Text:
    return Text("" if value is None else visible(str(value)))
