"""The commands: each parses its arguments, calls a service, and prints. A new one is a module and a line here."""

import io
import logging
import sys
from typing import Annotated

import structlog
import typer

from algoplatform import __version__
from algoplatform.cli.commands import check, description, files, search, service
from algoplatform.cli.commands.cluster import drift, graph, impact, lint, plan, render, verify
from algoplatform.cli.commands.options import WithFlags
from algoplatform.cli.output import console

app = typer.Typer(
    help="算法平台的镜像登记处。配置见 algoplatform settings。",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)


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


app.command()(service.serve)
app.command()(service.migrate)
app.command()(files.export)
app.command("import")(files.import_)
app.command()(search.search)
app.command()(check.check)
app.command(cls=WithFlags)(render.render)
app.command()(graph.graph)
app.command()(impact.impact)
app.command()(lint.lint)
app.command(cls=WithFlags)(drift.drift)
app.command()(plan.plan)
app.command()(verify.verify)
app.command()(description.openapi)
app.command()(description.settings)
