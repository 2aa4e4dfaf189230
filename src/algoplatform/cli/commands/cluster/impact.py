"""`impact`: what a change of an image does to those that depend on it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from algoplatform.cli.commands.common import AsJson, Url, use_registry
from algoplatform.cli.commands.options import usage
from algoplatform.cli.output import fail, print_json, print_line, reported
from algoplatform.cli.registry.base import LIMIT
from algoplatform.domain.graph_options import check_impact_request
from algoplatform.domain.record.json import parse_json


def impact(
    image: Annotated[str, typer.Argument(metavar="REF", help="镜像名:标签名或imageId")],
    *,
    delete: Annotated[bool, typer.Option("--delete", help="删除这个镜像")] = False,
    replace_by: Annotated[str | None, typer.Option(metavar="REF", help="用另一个镜像代替它")] = None,
    update: Annotated[
        typer.FileBinaryRead | None, typer.Option(metavar="FILE", help="更新它的记录：要改的字段，JSON；-为标准输入")
    ] = None,
    channels: Annotated[int | None, typer.Option(help="要分析的视频路数，用于计算副本数")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """列出一次更改会影响哪些镜像，以及依次移除它们的顺序。"""
    if delete + (replace_by is not None) + (update is not None) != 1:
        fail("须给出--delete、--replace-by、--update之一")
    with reported(), usage():
        body = _body(replace_by, update, channels)
    with reported():
        found = use_registry(url, lambda registry: registry.impact(image, body))
    if as_json:
        print_json(found)
        return
    for line, style in _lines(found, is_delete=delete):
        print_line(line, style)


def _body(by: str | None, update: typer.FileBinaryRead | None, channels: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {"action": "delete"}
    if by is not None:
        body = {"action": "replace", "by": by}
    if update is not None:
        body = {"action": "update", "record": parse_json(update.read())}
    if channels is not None:
        body["channels"] = channels
    check_impact_request(body)
    return body


def _lines(found: Mapping[str, Any], *, is_delete: bool) -> Iterator[tuple[str, str | None]]:
    direct = found["direct"]
    indirect = sorted(set(found["transitive"]).difference(direct))
    if not direct:
        yield "没有镜像依赖它", None
    yield from _listed("直接依赖它", direct)
    yield from _listed("间接依赖它", indirect)
    if is_delete and direct:
        yield from _listed("移除顺序", [_step(step) for step in found["order"]])
    if not is_delete:
        yield from _listed("不利的变化", [change["message"] for change in found["changes"]])
        if not found["changes"]:
            yield "没有不利的变化", None


def _listed(title: str, lines: list[str]) -> Iterator[tuple[str, str | None]]:
    if lines:
        yield f"{title}（{len(lines)}）", "bold"
        yield from ((f"  {line}", None) for line in lines[:LIMIT])
    if len(lines) > LIMIT:
        yield f"  还有{len(lines) - LIMIT}项未列出", None


def _step(step: Any) -> str:
    if isinstance(step, str):
        return step
    source, target = step["cut"]
    freed = f"，再移除{'、'.join(step['cycle'])}" if step["cycle"] else ""
    return f"先更新{source}，去掉对{target}的依赖{freed}"
