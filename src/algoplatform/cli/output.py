"""What commands print: results on stdout, messages and errors on stderr, and never a traceback."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NoReturn

import asyncpg
import typer
from rich.console import Console

from algoplatform.cli import tables
from algoplatform.cli.registry.base import Unreachable
from algoplatform.domain.errors import AlgoplatformError, FileRefused, Unavailable
from algoplatform.embedded import EmbeddedPostgresError
from algoplatform.runtime import NotReady
from algoplatform.settings import SettingsError
from algoplatform.storage.schema.versions import MigrationFailed, SchemaUnknown

console = Console()
errors = Console(stderr=True)


def print_line(line: str, style: str | None = None) -> None:
    console.print(tables.visible(line), style=style, markup=False, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print a result for programs, escaped if the encoding of stdout is not UTF-8."""
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    typer.echo(json.dumps(value, ensure_ascii=not is_utf8, indent=2))


def print_text(text: str) -> None:
    """Print a text for programs in UTF-8, whatever the encoding of stdout."""
    typer.echo(text.encode(), nl=False)


def print_file(file: BinaryIO) -> None:
    """Print a file for programs, from its beginning, in UTF-8 whatever the encoding of stdout."""
    file.seek(0)
    while data := file.read(65536):
        typer.echo(data, nl=False)


@contextmanager
def reported() -> Iterator[None]:
    """Print errors, not tracebacks; exit with 1 if the input is rejected, 2 if the command cannot run."""
    try:
        yield
    except FileRefused as error:
        errors.print(tables.faults_of(error))
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
    """Print a message on stderr."""
    errors.print(tables.visible(message), style=style, markup=False, highlight=False, soft_wrap=True)
