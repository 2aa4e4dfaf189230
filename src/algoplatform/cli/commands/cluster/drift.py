"""`drift`: does a cluster still run what the registry says?"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from shutil import copyfileobj
from typing import Annotated, Any, BinaryIO, Final

import typer

from algoplatform.cli.commands.common import AsJson, Url, use_registry
from algoplatform.cli.commands.options import FailOn, check_options, fails, offering, usage
from algoplatform.cli.output import console, print_json, reported, say, table
from algoplatform.domain.errors import clip
from algoplatform.manifests.drift.states import ERRORS, STATES, WARNINGS
from algoplatform.manifests.options import OPTIONS

_SAID: Final = {
    "in-sync": "一致",
    "not-ready": "未就绪",
    "outdated": "记录已更新",
    "orphan": "镜像已不存在",
    "image-moved": "镜像已变",
    "modified": "集群中被修改",
    "both": "两边都改了",
}
_BY_SEVERITY: Final = {"error": ERRORS, "warning": WARNINGS}
# A table shows at most this many rows, and this many characters of a value.
_MOST: Final = 1000
_LONG: Final = 200


@offering(*OPTIONS)
def drift(
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(help="kubectl get deploy,sts,svc,pvc,cm,pods -A -o json的输出；-为标准输入"),
    ],
    *,
    fail_on: FailOn = None,
    url: Url = None,
    as_json: AsJson = False,
    given: Mapping[str, str],
) -> None:
    """对比集群与登记处：集群中运行的还是登记的镜像吗？选项与render相同。"""
    with usage():
        check_options(given)
    with reported(), _seekable(file) as content:
        found = use_registry(url, lambda registry: registry.compare(given, content))
    if as_json:
        print_json(found)
    else:
        _show(found)
    if any(state in found["counts"] for severity in fails(fail_on) for state in _BY_SEVERITY[severity]):
        raise typer.Exit(1)


@contextmanager
def _seekable(file: BinaryIO) -> Iterator[BinaryIO]:
    """Copy a pipe to a file, as a request has to declare its length."""
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as copied:
        copyfileobj(file, copied)
        copied.seek(0)
        yield copied


def _show(found: Mapping[str, Any]) -> None:
    """Print a row for each difference or reason; what is in sync is only counted."""
    rows = [row for entry in found["images"] for row in _rows(entry)]
    if rows:
        console.print(table(("镜像", "状态", "位置", "登记", "集群"), rows[:_MOST]))
    hidden = max(0, len(rows) - _MOST) + found["unlisted"]
    if hidden:
        say(f"另有{hidden}处差异未列出；可用--json输出更多")
    for assumption in found["assumptions"]:
        say(f"说明：{assumption}")
    counts = [f"{_SAID[state]}{found['counts'][state]}个" for state in STATES if state in found["counts"]]
    say("，".join(counts) if counts else "集群中没有由登记处生成的工作负载")


def _rows(entry: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    image = entry["reference"] or f"{entry['namespace']}/{entry['name']}"
    places = list(_places(entry))
    if not places and entry["state"] != "in-sync":
        places = [("、".join(entry["reasons"]), "", "")]
    for place in places:
        yield image, _SAID[entry["state"]], *place


def _places(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what differs: where, what the registry says, and what the cluster has."""
    for item in entry["objects"]:
        name = f"{item['kind']} {item['name']}"
        if item["state"] == "orphan":
            yield name, "", "多余"
        for each in item["differences"]:
            yield f"{name} {each['path']}", _registered(each["base"], each["ours"]), _text(each["theirs"])
    if entry["state"] == "image-moved":
        yield "imageID", entry["digest"]["expected"], "，".join(entry["digest"]["running"])


def _registered(base: Any, ours: Any) -> str:
    return _text(ours) if base == ours else f"{_text(base)} → {_text(ours)}"


def _text(value: Any) -> str:
    if value is None:
        return "无"
    return clip(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), _LONG)
