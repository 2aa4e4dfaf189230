"""`search`: list images."""

from typing import Annotated

import typer

from algoplatform.cli import listing
from algoplatform.cli.commands.common import AsJson, Url, use_registry
from algoplatform.cli.output import print_json, print_line, reported, say
from algoplatform.cli.registry.base import LIMIT


def search(
    text: Annotated[str, typer.Argument(help="搜索条件")] = "", url: Url = None, as_json: AsJson = False
) -> None:
    """查询镜像，最多1000个；终端越宽，列出的内容越多。"""
    with reported():
        found = use_registry(url, lambda registry: registry.search(text))
    if as_json:
        print_json(found)
        return
    if not found:
        say("没有找到镜像")
        return
    header, *rows = listing.lines(found, listing.terminal_width())
    print_line(header, "bold")
    for row in rows:
        print_line(row)
    if len(found) == LIMIT:
        say(f"只列出前{LIMIT}个，请缩小搜索条件")
