"""`render`: images as the manifests that a cluster runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from algoplatform.cli.commands.common import AsJson, Url, use_registry
from algoplatform.cli.commands.options import FailOn, check_options, fails, offering, usage
from algoplatform.cli.output import fail, print_json, reported, say
from algoplatform.domain.record.json import parse_json
from algoplatform.manifests.options import OPTIONS
from algoplatform.manifests.yaml import dump_yaml

_SAID = {"error": ("错误", "red"), "warning": ("警告", "yellow")}


@offering(*OPTIONS)
def render(
    images: Annotated[list[str], typer.Argument(metavar="REF", help="镜像名:标签名或imageId，可以有多个")],
    *,
    config_files: Annotated[
        Path | None,
        typer.Option(help="配置文件的内容：JSON，{镜像名:标签名: {路径: 文本}}", exists=True, dir_okay=False),
    ] = None,
    fail_on: FailOn = None,
    url: Url = None,
    as_json: AsJson = False,
    given: Mapping[str, str],
) -> None:
    """生成镜像的Kubernetes清单：标准输出只有YAML，警告等输出到标准错误。"""
    with reported(), usage():
        check_options(given)
        files = parse_json(config_files.read_bytes()) if config_files else {}
    body = {"images": images, "options": given, "configFiles": files}
    with reported():
        found = use_registry(url, lambda registry: registry.render(body))
    failing = [each for each in found["warnings"] if each["severity"] in fails(fail_on)]
    if as_json:
        print_json(found)
    else:
        _tell(found)
        if failing:
            # Print nothing on stdout: `render … | kubectl apply` would apply manifests with problems.
            fail(f"有{len(failing)}个问题，没有输出清单", 1)
        for document in dump_yaml(found["manifests"]):
            typer.echo(document, nl=False)
    if failing:
        raise typer.Exit(1)


def _tell(found: Mapping[str, Any]) -> None:
    """Print on stderr the warnings, assumptions and needs to know of before applying the manifests."""
    for warning in found["warnings"]:
        severity, style = _SAID.get(warning["severity"], ("提示", None))
        say(f"{severity}：{warning['image']}：{warning['message']}（{warning['rule']}）", style)
    for assumption in found["assumptions"]:
        say(f"说明：{assumption}")
    for need in found["needs"]:
        keys = "，".join(f"{key}（{path}）" for key, path in need["keys"].items())
        say(f"须先创建：{need['kind']} {need['namespace']}/{need['name']}，内容为{keys}")
