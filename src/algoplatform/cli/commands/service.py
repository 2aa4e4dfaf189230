"""`serve` and `migrate`: run the service, and upgrade its database."""

from pathlib import Path
from typing import Annotated

import typer

from algoplatform.api.middleware import authentication
from algoplatform.cli import serving
from algoplatform.cli.commands.common import load_settings
from algoplatform.cli.output import console, reported
from algoplatform.console import check_login
from algoplatform.settings import SettingsError, load
from algoplatform.storage.schema.versions import HEAD


def serve(
    host: Annotated[str | None, typer.Option(help="监听地址")] = None,
    port: Annotated[int | None, typer.Option(help="监听端口，0为任意空闲端口")] = None,
    workers: Annotated[int | None, typer.Option(help="工作进程数")] = None,
    sample: Annotated[Path | None, typer.Option(help="登记处为空时，先导入此文件", exists=True, dir_okay=False)] = None,
) -> None:
    """启动服务；没有设置ALGOPLATFORM_DATABASE_URL时，自带一个PostgreSQL。"""
    given = {"host": host, "port": port, "workers": workers}
    with reported():
        settings = load(**{name: value for name, value in given.items() if value is not None})
        settings.check_listening()
        authentication.verifier(settings)
        check_login(settings)
        serving.run(settings, sample)


def migrate() -> None:
    """把数据库的结构升级到本版本。"""
    with reported():
        settings = load_settings()
        if settings.database_url is None:
            raise SettingsError("ALGOPLATFORM_DATABASE_URL未设置；自带的PostgreSQL在serve启动时自动升级")
        from algoplatform.storage.schema import migrations  # slow to import, and only needed here

        migrations.upgrade(settings.database_url.get_secret_value())
    console.print(f"数据库结构版本：{HEAD}")
