"""`lint`: what will clash, fail or be forgotten once the images run."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from shutil import copyfileobj
from typing import Annotated, Any, BinaryIO, Final, Literal

import typer

from algoplatform.cli import listing
from algoplatform.cli.commands.common import AsJson, Registry, Url, use_registry
from algoplatform.cli.commands.options import FailOn, Offered, check_options, chosen, conditions, fails, offering, usage
from algoplatform.cli.output import print_line, reported, say
from algoplatform.cli.registry.base import LIMIT, LINT_OPTIONS
from algoplatform.manifests.options import BY_NAME, Option
from algoplatform.planning.lint.asked import Asked, check_asked
from algoplatform.planning.lint.rules import SEVERITIES

_OPTIONS: Final[tuple[Offered | Option, ...]] = (
    Offered("severity", "error,warning,info", "只列出这些级别，逗号分隔"),
    Offered("rule", "规则,…", "只列出这些规则，逗号分隔"),
    *conditions("只检查符合条件的镜像"),
    *(BY_NAME[name] for name in LINT_OPTIONS),
)
_SAID: Final = {"error": ("错误", "red"), "warning": ("警告", "yellow"), "info": ("提示", None)}


@offering(*_OPTIONS)
def lint(
    file: Annotated[
        Path | None, typer.Argument(help="要检查的文件，格式同import；不填则检查登记处", exists=True, dir_okay=False)
    ] = None,
    *,
    form: Annotated[Literal["json", "sarif"] | None, typer.Option("--format", help="输出的格式；不填则为表格")] = None,
    fail_on: FailOn = None,
    url: Url = None,
    as_json: AsJson = False,
    given: Mapping[str, str],
) -> None:
    """检查镜像：哪些设置会冲突、出错或有遗漏。"""
    form = chosen(form, as_json=as_json)  # type: ignore[assignment]  # returns `form` or "json"
    with usage():
        asked = _checked(given, file)
    query = dict(given) if form else {**given, "pageSize": str(LIMIT)}
    with tempfile.TemporaryFile() as found:

        async def look(registry: Registry) -> bool:
            await registry.lint(query, file, found, sarif=form == "sarif")
            return await _any(registry, file, given, fails(fail_on, asked.severities))

        with reported():
            is_failure = use_registry(url, look)
        _show(found, form)
    if is_failure:
        raise typer.Exit(1)


def _checked(given: Mapping[str, str], file: Path | None) -> Asked:
    check_options({name: given[name] for name in given if name in LINT_OPTIONS})
    return check_asked({name: given[name] for name in given if name not in LINT_OPTIONS}, conditions=file is None)


async def _any(registry: Registry, file: Path | None, given: Mapping[str, str], severities: Sequence[str]) -> bool:
    """Return whether any of the requested findings has one of the severities.

    This takes a request of its own, as all findings may not fit into memory, and SARIF has other levels.
    """
    if not severities:
        return False
    with tempfile.TemporaryFile() as found:
        await registry.lint({**given, "severity": ",".join(severities), "pageSize": "1"}, file, found, sarif=False)
        found.seek(0)
        return bool(json.load(found)["total"])


def _show(found: BinaryIO, form: str | None) -> None:
    found.seek(0)
    if form:
        copyfileobj(found, typer.get_binary_stream("stdout"))
        typer.echo()
        return
    answer = json.load(found)
    findings, total = answer["findings"], answer["total"]
    for line, style in _lines(findings, listing.terminal_width()):
        print_line(line, style)
    if total > len(findings):
        say(f"共{total}处，只列出前{len(findings)}处；可用--rule、--severity缩小范围，或用--json输出全部")
    elif findings:
        counts = Counter(finding["severity"] for finding in findings)
        say("，".join(f"{counts[each]}处{_SAID[each][0]}" for each in SEVERITIES if counts[each]))
    else:
        say("没有发现问题")


def _lines(findings: Sequence[Mapping[str, Any]], width: int | None) -> Iterator[tuple[str, str | None]]:
    """Yield each image with its findings below it; messages are wrapped beside their rules."""
    rule_width = max((len(finding["rule"]) for finding in findings), default=0)
    indent = " " * (rule_width + 10)
    for image, own in groupby(findings, key=lambda finding: finding["image"]):
        yield image, "bold"
        for finding in own:
            severity, style = _SAID[finding["severity"]]
            first, *rest = listing.wrapped(finding["message"], width and width - len(indent))
            yield f"  {severity}  {finding['rule']:<{rule_width}}  {first}", style
            yield from ((f"{indent}{line}", style) for line in rest)
