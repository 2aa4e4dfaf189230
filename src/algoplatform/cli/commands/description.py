"""`openapi` and `settings`: describe the service and its configuration."""

import sys
import textwrap

from algoplatform.catalogue.cluster.site import describe_options
from algoplatform.cli import listing
from algoplatform.cli.commands.common import AsJson, load_settings
from algoplatform.cli.output import print_json, print_line, reported
from algoplatform.settings import describe


def openapi() -> None:
    """输出OpenAPI文档。"""
    from algoplatform.api.app import create_app  # slow to import, and only needed here

    with reported():
        document = create_app(load_settings()).openapi()
    print_json(document)


def settings(as_json: AsJson = False) -> None:
    """列出全部配置项：当前值、用途、默认值。"""
    with reported():
        given = load_settings()
        rows = [*describe(given), *describe_options(given.render)]
    if as_json:
        print_json([dict(zip(("name", "value", "default", "description"), row, strict=True)) for row in rows])
        return
    width = listing.terminal_width() or sys.maxsize
    for name, value, default, purpose in rows:
        print_line(f"{name}={value}", "bold")
        told = purpose if value == default else f"{purpose}（默认值：{default or '无'}）"
        for line in textwrap.wrap(told, width - 4):
            print_line(f"    {line}")
