"""The commands: each reads its arguments, calls what does the work, and prints."""

import asyncio
import json
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from algoplatform import __version__
from algoplatform import settings as configuration
from algoplatform.api import auth
from algoplatform.api.app import create_app
from algoplatform.cli import serving
from algoplatform.cli.registries import open_registry
from algoplatform.domain.errors import AlgoplatformError, FileRefused, clip
from algoplatform.domain.image import Rules, check
from algoplatform.domain.record_file import read_records
from algoplatform.settings import Settings, SettingsError
from algoplatform.storage import migrations
from algoplatform.storage.database import libpq_dsn
from algoplatform.storage.embedded import EmbeddedPostgresError

T = TypeVar("T")

app = typer.Typer(
    help="算法平台的镜像登记处。配置见 algoplatform settings。",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
console = Console()
errors = Console(stderr=True)

Url = Annotated[str | None, typer.Option("--url", help="服务地址，如http://127.0.0.1:8000；不填则直接使用数据库")]


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="显示版本")] = False) -> None:
    """算法平台的镜像登记处。"""
    if version:
        console.print(__version__)
        raise typer.Exit


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="监听地址")] = None,
    port: Annotated[int | None, typer.Option(help="监听端口")] = None,
    workers: Annotated[int | None, typer.Option(help="工作进程数")] = None,
    sample: Annotated[Path | None, typer.Option(help="登记处为空时，先导入此文件", exists=True)] = None,
) -> None:
    """启动服务；没有设置ALGOPLATFORM_DATABASE_URL时，自带一个PostgreSQL。"""
    given = {"host": host, "port": port, "workers": workers}
    settings = _settings(**{name: value for name, value in given.items() if value is not None})
    try:
        settings.check_listening()
        auth.verifier(settings)
        serving.run(settings, sample)
    except (SettingsError, EmbeddedPostgresError, serving.NotReady) as error:
        _fail(str(error))


@app.command()
def migrate() -> None:
    """把数据库的结构升级到本版本。"""
    settings = _settings()
    if settings.database_url is None:
        _fail("ALGOPLATFORM_DATABASE_URL未设置；自带的PostgreSQL在serve启动时自动升级")
    try:
        migrations.upgrade(libpq_dsn(settings.database_url.get_secret_value()))
    except OSError as error:
        _fail(f"数据库无法连接：{error}")
    console.print(f"数据库结构版本：{migrations.head()}")


@app.command()
def export(file: Annotated[Path, typer.Argument(help="写到这个文件")], url: Url = None) -> None:
    """导出全部镜像到一个JSON文件。"""
    with file.open("wb") as target:
        _run(_with_registry(url, lambda registry: registry.export(target)))
    console.print(f"已导出到{file}（{file.stat().st_size}字节）")


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="_load得到的文件", exists=True, dir_okay=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查，不写入")] = False,
    url: Url = None,
) -> None:
    """从一个JSON文件导入镜像：全部成功，或全部不写入。"""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("导入", total=file.stat().st_size)

        def advance(size: int) -> None:
            progress.advance(task, size)

        counts = _run(_with_registry(url, lambda registry: registry.load(file, dry_run=dry_run, advance=advance)))
    table = Table("新建", "更新", "未变", "跳过", title="检查通过（未写入）" if dry_run else "导入成功")
    table.add_row(*(str(counts[name]) for name in ("created", "updated", "unchanged", "skipped")))
    console.print(table)


@app.command()
def search(text: Annotated[str, typer.Argument(help="搜索条件")] = "", url: Url = None) -> None:
    """查询镜像，最多1000个。"""
    table = Table("镜像", "厂商", "算法名称", "类别", "依赖", "imageId")
    for record in _run(_with_registry(url, lambda registry: registry.search(text))):
        name = f"{record['imageName']}:{record['imageTag']}"
        needs = record["dependencyServiceId"] or ""
        table.add_row(name, record["factory"], record["algoName"], record["algoType"], needs, record["imageId"])
    console.print(table)


@app.command(name="check")
def check_(url: Url = None) -> None:
    """列出不再符合现行规则的镜像。"""
    rules = Rules(_settings().node_ports)
    table = Table("镜像", "字段", "状态码", "错误")
    records = 0
    with tempfile.TemporaryFile() as file:
        _run(_with_registry(url, lambda registry: registry.export(file)))
        file.seek(0)
        for _, data in read_records(iter(lambda: file.read(65536), b"")):
            records += 1
            for fault in check(data, rules).faults:
                table.add_row(f"{data['imageName']}:{data['imageTag']}", fault.field, fault.code, fault.message)
    if table.row_count:
        console.print(table)
        raise typer.Exit(1)
    console.print(f"{records}个镜像全部符合规则")


@app.command()
def openapi() -> None:
    """输出OpenAPI文档。"""
    typer.echo(json.dumps(create_app(Settings()).openapi(), ensure_ascii=False, indent=2))


@app.command()
def settings() -> None:
    """列出全部配置项。"""
    table = Table("环境变量", "当前值", "默认值", "说明")
    for row in configuration.describe(_settings()):
        table.add_row(*map(str, row))
    console.print(table)


def _settings(**given: Any) -> Settings:
    try:
        return configuration.load(**given)
    except SettingsError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    errors.print(message, style="bold red", markup=False, highlight=False)
    raise typer.Exit(2)


async def _with_registry(url: str | None, use: Any) -> Any:
    async with open_registry(_settings(), url) as registry:
        return await use(registry)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end and turn what is refused into something to read."""
    try:
        return asyncio.run(work)
    except FileRefused as error:
        table = Table("镜像", "字段", "状态码", "错误", title=f"文件中有{error.total}处错误，未写入任何数据")
        for item in error.record_faults:
            table.add_row(clip(item.image), item.fault.field, item.fault.code, item.fault.message)
        errors.print(table)
        raise typer.Exit(1) from None
    except AlgoplatformError as error:
        errors.print(f"{error.code}：{error}", style="bold red", markup=False)
        raise typer.Exit(1) from None
    except (httpx.TransportError, SettingsError) as error:
        _fail(str(error) or type(error).__name__)
