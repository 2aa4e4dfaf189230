"""The commands: each parses its arguments, calls a service, and prints."""

import asyncio
import io
import json
import logging
import os
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NoReturn

import asyncpg
import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from algoplatform import __version__
from algoplatform import settings as configuration
from algoplatform.api.app import create_app
from algoplatform.api.middleware import authentication
from algoplatform.cli import listing, serving, tables
from algoplatform.cli.registry.base import LIMIT, Unreachable
from algoplatform.cli.registry.opening import open_registry
from algoplatform.domain.errors import AlgoplatformError, BadRequest, FileRefused, Unavailable
from algoplatform.domain.faults import Code
from algoplatform.domain.record.file import read_records
from algoplatform.domain.record.image import Rules, check
from algoplatform.embedded import EmbeddedPostgresError
from algoplatform.runtime import NotReady
from algoplatform.settings import SettingsError
from algoplatform.storage.images.edges import Drift
from algoplatform.storage.schema.versions import HEAD, MigrationFailed, SchemaUnknown

app = typer.Typer(
    help="算法平台的镜像登记处。配置见 algoplatform settings。",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
console = Console()
errors = Console(stderr=True)

Url = Annotated[str | None, typer.Option("--url", help="服务地址，如http://127.0.0.1:8000；不填则直接使用数据库")]

AsJson = Annotated[bool, typer.Option("--json", help="输出JSON，供程序读取")]


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="显示版本")] = False) -> None:
    """算法平台的镜像登记处。"""
    for stream in (sys.stdout, sys.stderr):
        # A terminal whose encoding is GBK or ASCII cannot show every stored character.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Only `serve` writes a log; the other commands print a one-line error instead.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if version:
        console.print(__version__)
        raise typer.Exit


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="监听地址")] = None,
    port: Annotated[int | None, typer.Option(help="监听端口，0为任意空闲端口")] = None,
    workers: Annotated[int | None, typer.Option(help="工作进程数")] = None,
    sample: Annotated[Path | None, typer.Option(help="登记处为空时，先导入此文件", exists=True, dir_okay=False)] = None,
) -> None:
    """启动服务；没有设置ALGOPLATFORM_DATABASE_URL时，自带一个PostgreSQL。"""
    given = {"host": host, "port": port, "workers": workers}
    with _told():
        settings = configuration.load(**{name: value for name, value in given.items() if value is not None})
        settings.check_listening()
        authentication.verifier(settings)
        serving.run(settings, sample)


@app.command()
def migrate() -> None:
    """把数据库的结构升级到本版本。"""
    with _told():
        settings = _settings()
        if settings.database_url is None:
            raise SettingsError("ALGOPLATFORM_DATABASE_URL未设置；自带的PostgreSQL在serve启动时自动升级")
        from algoplatform.storage.schema import migrations  # slow to import, and only needed here

        migrations.upgrade(settings.database_url.get_secret_value())
    console.print(f"数据库结构版本：{HEAD}")


@app.command()
def export(file: Annotated[Path, typer.Argument(help="写到这个文件")], url: Url = None) -> None:
    """导出全部镜像到一个JSON文件。"""
    with _told(), _whole(file) as target:
        _run(url, lambda registry: registry.export(target))
    _say(f"已导出到{file}（{file.stat().st_size}字节）")


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="_load得到的文件", exists=True, dir_okay=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查，不写入")] = False,
    url: Url = None,
) -> None:
    """从一个JSON文件导入镜像：全部成功，或全部不写入。"""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    shown = Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)
    with _told(), shown as progress:
        task = progress.add_task("导入", total=file.stat().st_size)

        def advance(size: int) -> None:
            progress.advance(task, size)

        counts = _run(url, lambda registry: registry.load(file, dry_run=dry_run, advance=advance))
    row = [counts[name] for name in ("created", "updated", "unchanged", "skipped")]
    title = "检查通过（未写入）" if dry_run else "导入成功"
    console.print(tables.table(("新建", "更新", "未变", "跳过"), [row], title))


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="搜索条件")] = "", url: Url = None, as_json: AsJson = False
) -> None:
    """查询镜像，最多1000个；终端越宽，列出的内容越多。"""
    with _told():
        found = _run(url, lambda registry: registry.search(text))
    if as_json:
        _print_json(found)
        return
    if not found:
        _say("没有找到镜像")
        return
    header, *rows = listing.lines(found, listing.terminal_width())
    _print(header, "bold")
    for row in rows:
        _print(row)
    if len(found) == LIMIT:
        _say(f"只列出前{LIMIT}个，请缩小搜索条件")


# The number of findings of `check` that are kept in memory and shown.
_SHOWN = 1000
_DRIFT = {
    "unregistered": "依赖的镜像“{}”未注册",
    "missing": "缺少到“{}”的依赖关系，更新一次该镜像的dependencyServiceId即可补上",
    "surplus": "记录中没有依赖“{}”，却有这一依赖关系，更新一次该镜像的dependencyServiceId即可去掉",
}


@app.command(name="check")
def check_(url: Url = None, as_json: AsJson = False) -> None:
    """列出不再符合现行规则的镜像；直接使用数据库时，也核对依赖关系与记录是否一致。"""
    records, total, rows = 0, 0, []

    def note(*row: str) -> None:
        nonlocal total
        total += 1
        if as_json or total <= _SHOWN:
            rows.append(row)

    def note_drift(found: Drift) -> None:
        note(found.image, "dependencyServiceId", Code.DEPENDENCY, _DRIFT[found.problem].format(found.reference))

    async def look(registry: Any) -> None:
        await registry.export(file)
        if url is None:
            await registry.drift(note_drift)

    with _told(), tempfile.TemporaryFile() as file:
        rules = Rules(configuration.load().node_ports)
        _run(url, look)
        file.seek(0)
        for _, data in read_records(iter(lambda: file.read(65536), b"")):
            records += 1
            name = _name_of(data)
            for fault in check(data, rules).faults:
                note(name, fault.field, fault.code, fault.message)
    if as_json:
        _print_json([dict(zip(("image", "field", "code", "message"), row, strict=True)) for row in rows])
    elif rows:
        console.print(tables.table(("镜像", "字段", "状态码", "错误"), rows))
        if total > len(rows):
            console.print(f"还有{total - len(rows)}处错误未列出")
    if rows:
        raise typer.Exit(1)
    if not as_json:
        console.print(f"{records}个镜像全部符合规则")


def _name_of(record: Any) -> str:
    try:
        return f"{record['imageName']}:{record['imageTag']}"
    except (TypeError, KeyError):
        raise BadRequest("导出的内容不是镜像信息") from None


@app.command()
def openapi() -> None:
    """输出OpenAPI文档。"""
    with _told():
        document = create_app(_settings()).openapi()
    _print_json(document)


@app.command()
def settings(as_json: AsJson = False) -> None:
    """列出全部配置项：当前值、用途、默认值。"""
    with _told():
        rows = configuration.describe(_settings())
    if as_json:
        _print_json([dict(zip(("name", "value", "default", "description"), row, strict=True)) for row in rows])
        return
    width = listing.terminal_width() or sys.maxsize
    for name, value, default, purpose in rows:
        _print(f"{name}={value}", "bold")
        told = purpose if value == default else f"{purpose}（默认值：{default or '无'}）"
        for line in textwrap.wrap(told, width - 4):
            _print(f"    {line}")


def _print(line: str, style: str | None = None) -> None:
    console.print(tables.visible(line), style=style, markup=False, highlight=False, soft_wrap=True)


def _print_json(value: object) -> None:
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    typer.echo(json.dumps(value, ensure_ascii=not is_utf8, indent=2))


@contextmanager
def _told() -> Iterator[None]:
    """Print errors, not tracebacks; exit with 1 if the input is rejected, 2 if the command cannot run."""
    try:
        yield
    except FileRefused as error:
        errors.print(tables.faults_of(error))
        raise typer.Exit(1) from None
    except Unavailable as error:
        _fail(f"数据库无法连接：{_reason(error.__cause__ or error)}")
    except AlgoplatformError as error:
        _fail(f"{error.code}：{error}", 1)
    except Unreachable as error:
        _fail(str(error))
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    ) as error:
        _fail(f"数据库出错：{_reason(error)}")
    except (SettingsError, NotReady, SchemaUnknown, EmbeddedPostgresError, OSError) as error:
        _fail(_reason(error))
    except MigrationFailed as error:
        _fail(f"数据库结构升级失败：{_reason(error)}")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}：{error.strerror}"
    if isinstance(error, TimeoutError) and not str(error):
        return "等待超时"
    return str(error).partition("\n")[0] or type(error).__name__


def _fail(message: str, code: int = 2) -> NoReturn:
    _say(message, "bold red")
    raise typer.Exit(code)


def _say(message: str, style: str | None = None) -> None:
    errors.print(tables.visible(message), style=style, markup=False, highlight=False, soft_wrap=True)


def _run(url: str | None, use: Any) -> Any:
    configured = _settings()

    async def work() -> Any:
        async with open_registry(configured, url) as registry:
            return await use(registry)

    return asyncio.run(work())


def _settings() -> configuration.Settings:
    """Load the settings and print a warning for ignored variables; `serve` logs them instead."""
    settings = configuration.load()
    for name in configuration.ignored():
        _say(f"忽略{name}：它是Kubernetes为同名Service设置的，不是端口号", "yellow")
    return settings


@contextmanager
def _whole(file: Path) -> Iterator[BinaryIO]:
    """Write a file atomically, renaming it into place once complete.

    A device such as /dev/stdout is written directly.
    """
    file = file.resolve()
    if file.exists() and not file.is_file():
        with file.open("wb") as target:
            yield target
        return
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with _create(part, file) as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _create(part: Path, file: Path) -> BinaryIO:
    try:
        return part.open("xb")
    except OSError as error:
        # Name the file that the user gave rather than the temporary one next to it.
        raise OSError(error.errno, error.strerror, str(file)) from None
