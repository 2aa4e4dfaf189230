"""`export` and `import`: all images to a file, and back."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from algoplatform.cli.commands.common import Url, use_registry
from algoplatform.cli.output import console, errors, reported, say, table


def export(file: Annotated[Path, typer.Argument(help="写到这个文件")], url: Url = None) -> None:
    """导出全部镜像到一个JSON文件。"""
    with reported(), _whole(file) as target:
        use_registry(url, lambda registry: registry.export(target))
    say(f"已导出到{file}（{file.stat().st_size}字节）")


def import_(
    file: Annotated[Path, typer.Argument(help="_load得到的文件", exists=True, dir_okay=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查，不写入")] = False,
    url: Url = None,
) -> None:
    """从一个JSON文件导入镜像：全部成功，或全部不写入。"""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    shown = Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)
    with reported(), shown as progress:
        task = progress.add_task("导入", total=file.stat().st_size)
        advance = partial(progress.advance, task)
        counts = use_registry(url, lambda registry: registry.load(file, dry_run=dry_run, advance=advance))
    row = [counts[name] for name in ("created", "updated", "unchanged", "skipped")]
    title = "检查通过（未写入）" if dry_run else "导入成功"
    console.print(table(("新建", "更新", "未变", "跳过"), [row], title))


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
