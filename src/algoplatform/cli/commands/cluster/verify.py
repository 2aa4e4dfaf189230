"""`verify`: whether images are in their registries."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Final

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from algoplatform.cli.commands.common import AsJson, Url, use_registry
from algoplatform.cli.commands.options import FailOn, conditions, fails, offering, usage
from algoplatform.cli.output import console, errors, fail, print_json, print_line, reported, table
from algoplatform.domain.search import check_conditions

_SAID: Final = {
    "present": "存在",
    "missing": "不存在",
    "denied": "无权读取",
    "unreachable": "仓库没有答复",
    "not-configured": "仓库不在配置中",
    "unsupported": "不是可识别的镜像",
}
# Nodes cannot pull images in the first three states; in the last two it is not known whether they can.
_SEVERITIES: Final = {
    "missing": "error",
    "denied": "error",
    "unsupported": "error",
    "unreachable": "warning",
    "not-configured": "warning",
}


@offering(*conditions("只校验符合条件的镜像"))
def verify(
    image: Annotated[
        str | None, typer.Argument(metavar="[REF]", help="镜像名:标签名或imageId；不填则校验符合条件的全部镜像")
    ] = None,
    *,
    fail_on: FailOn = None,
    url: Url = None,
    as_json: AsJson = False,
    given: Mapping[str, str],
) -> None:
    """到仓库校验镜像是否存在，并保存结果。"""
    if image is not None and given:
        fail("REF与条件不能同时给出")
    with usage():
        check_conditions(dict(given))
    with reported():
        found = _set(given, url) if image is None else use_registry(url, lambda registry: registry.verify(image))
    if as_json:
        print_json(found)
    elif image is not None:
        for line in _lines(found):
            print_line(line)
    else:
        rows = [(_SAID[state], found["states"][state]) for state in _SAID if state in found["states"]]
        console.print(table(("状态", "镜像"), rows, f"共校验{found['total']}个镜像"))
    states = [found["state"]] if image is not None else found["states"]
    if any(_SEVERITIES.get(state) in fails(fail_on) for state in states):
        raise typer.Exit(1)


def _set(given: Mapping[str, str], url: str | None) -> dict[str, Any]:
    columns = (TextColumn("校验"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as shown:
        task = shown.add_task("", total=None)

        def begin(total: int) -> None:
            shown.update(task, total=total)

        return use_registry(url, lambda registry: registry.verify_set(given, begin, partial(shown.advance, task)))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"状态  {_SAID.get(found['state'], '')}（{found['state']}）"
    if found.get("message"):
        yield f"原因  {found['message']}"
    if found.get("digest"):
        yield f"摘要  {found['digest']}"
    for platform in found["platforms"]:
        user = platform["user"] or "root"
        ports = "、".join(platform["exposedPorts"]) or "无"
        name = f"{platform['os']}/{platform['architecture']}"
        yield f"平台  {name}，{decimal(platform['size'])}，用户{user}，端口{ports}"
