"""`check`: find records and edges that the current rules would refuse."""

import tempfile
from typing import Any

import typer

from algoplatform.cli.commands.common import AsJson, Registry, Url, use_registry
from algoplatform.cli.output import FAULT_HEADERS, console, print_json, reported, table
from algoplatform.cli.registry.local import Local
from algoplatform.domain.errors import BadRequest
from algoplatform.domain.faults import Code
from algoplatform.domain.record.check import Rules
from algoplatform.domain.record.check import check as check_record
from algoplatform.domain.record.file import read_records
from algoplatform.domain.record.model import reference_of
from algoplatform.settings import load
from algoplatform.storage.images.edges import Drift

# The number of findings of `check` that are kept in memory and shown.
_SHOWN = 1000
_DRIFT = {
    "unregistered": "依赖的镜像“{}”未注册",
    "missing": "缺少到“{}”的依赖关系，更新一次该镜像的dependencyServiceId即可补上",
    "surplus": "记录中没有依赖“{}”，却有这一依赖关系，更新一次该镜像的dependencyServiceId即可去掉",
}


def check(url: Url = None, as_json: AsJson = False) -> None:
    """列出不再符合现行规则的镜像；直接使用数据库时，也核对依赖关系与记录是否一致。"""
    records, total, rows = 0, 0, []

    def note(*row: str) -> None:
        nonlocal total
        total += 1
        if as_json or total <= _SHOWN:
            rows.append(row)

    def note_drift(found: Drift) -> None:
        note(found.image, "dependencyServiceId", Code.DEPENDENCY, _DRIFT[found.problem].format(found.reference))

    async def look(registry: Registry) -> None:
        await registry.export(file)
        if isinstance(registry, Local):
            await registry.drift(note_drift)

    with reported(), tempfile.TemporaryFile() as file:
        rules = Rules(load().node_ports)
        use_registry(url, look)
        file.seek(0)
        for _, data in read_records(iter(lambda: file.read(65536), b"")):
            records += 1
            name = _name_of(data)
            for fault in check_record(data, rules).faults:
                note(name, fault.field, fault.code, fault.message)
    if as_json:
        print_json([dict(zip(("image", "field", "code", "message"), row, strict=True)) for row in rows])
    elif rows:
        console.print(table(FAULT_HEADERS, rows))
        if total > len(rows):
            console.print(f"还有{total - len(rows)}处错误未列出")
    if rows:
        raise typer.Exit(1)
    if not as_json:
        console.print(f"{records}个镜像全部符合规则")


def _name_of(record: Any) -> str:
    try:
        return reference_of(record)
    except (TypeError, KeyError):
        raise BadRequest("导出的内容不是镜像信息") from None
