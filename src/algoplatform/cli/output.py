"""What commands print: results on stdout, messages and errors on stderr, and never a traceback.

Any stored text is shown safely, and tables stay readable on a narrow terminal.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn

import asyncpg
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from algoplatform.cli.registry.base import Unreachable
from algoplatform.domain.errors import AlgoplatformError, FileRefused, Unavailable
from algoplatform.embedded import EmbeddedPostgresError
from algoplatform.runtime import NotReady
from algoplatform.settings import SettingsError
from algoplatform.storage.schema.versions import MigrationFailed, SchemaUnknown

console = Console()
errors = Console(stderr=True)

# Short columns, whose values are useless when wrapped.
_WHOLE: Final = frozenset({"字段", "状态码"})
FAULT_HEADERS: Final = ("镜像", "字段", "状态码", "错误")


def print_line(line: str, style: str | None = None) -> None:
    console.print(visible(line), style=style, markup=False, highlight=False, soft_wrap=True)


def visible(text: str) -> str:
    """Escape unprintable characters, so that no text can control the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """Return a table of the rows; text that does not fit into a column is wrapped."""
    shown = Table(title=title, title_justify="left", show_lines=True)
    for header in headers:
        shown.add_column(header, overflow="fold", no_wrap=header in _WHOLE)
    for row in rows:
        shown.add_row(*(Text("" if value is None else visible(str(value))) for value in row))
    return shown


def print_json(value: object) -> None:
    """Print a result for programs, escaped if the encoding of stdout is not UTF-8."""
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    typer.echo(json.dumps(value, ensure_ascii=not is_utf8, indent=2))


@contextmanager
def reported() -> Iterator[None]:
    """Print errors, not tracebacks; exit with 1 if the input is rejected, 2 if the command cannot run."""
    try:
        yield
    except FileRefused as error:
        errors.print(_faults_of(error))
        raise typer.Exit(1) from None
    except Unavailable as error:
        fail(f"数据库无法连接：{_reason(error.__cause__ or error)}")
    except AlgoplatformError as error:
        fail(f"{error.code}：{error}", 1)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        fail(f"数据库出错：{_reason(error)}")
    except (SettingsError, NotReady, SchemaUnknown, EmbeddedPostgresError, Unreachable, OSError) as error:
        fail(_reason(error))
    except MigrationFailed as error:
        fail(f"数据库结构升级失败：{_reason(error)}")


def _faults_of(error: FileRefused) -> Table:
    rows = ((item.image, item.fault.field, item.fault.code, item.fault.message) for item in error.record_faults)
    shown = table(FAULT_HEADERS, rows, f"文件中有{error.total}处错误，未写入任何数据")
    more = error.total - len(error.record_faults)
    shown.caption = f"另有{more}处错误未列出" if more > 0 else None
    return shown


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}：{error.strerror}"
    if isinstance(error, TimeoutError) and not str(error):
        return "等待超时"
    return str(error).partition("\n")[0] or type(error).__name__


def fail(message: str, code: int = 2) -> NoReturn:
    """Print a message on stderr, and exit."""
    say(message, "bold red")
    raise typer.Exit(code)


def say(message: str, style: str | None = None) -> None:
    errors.print(visible(message), style=style, markup=False, highlight=False, soft_wrap=True)
