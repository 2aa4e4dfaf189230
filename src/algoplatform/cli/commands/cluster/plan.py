"""`plan`: how many replicas cameras need, on which cards, and what does not fit."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from algoplatform.catalogue.cluster.capacity.cards import CardUse, cards_of, placed_by_card
from algoplatform.cli.commands.common import AsJson, Url, use_registry
from algoplatform.cli.commands.options import FailOn, fails
from algoplatform.cli.output import console, print_json, print_line, reported, say, table
from algoplatform.domain.plan.body import parse_plan_body
from algoplatform.domain.plan.check import check_plan_request

_BAR: Final = 20
_PROOFS: Final = {
    "card-size": "没有能放下一个副本的节点",
    "sum": "总量不足",
    "pigeonhole": "总量够，但太零碎",
    "none": "没有找到放法，但未证明放不下",
}
_DEMAND: Final = ("镜像", "路数", "每副本", "副本", "CPU m", "内存MiB", "显存MiB")
_TOTALS: Final = {
    "gpuMemory": "显存（MiB）",
    "shares": "GPU份数",
    "cpu": "CPU（m）",
    "memory": "内存（MiB）",
    "pods": "容器组",
}
_SHOWN: Final = 200

Lines = Iterator[tuple[str, str | None]]


def plan(
    file: Annotated[
        typer.FileBinaryRead, typer.Argument(metavar="FILE", help="摄像头与节点，JSON，同_plan的请求体；-为标准输入")
    ],
    *,
    fail_on: FailOn = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """规划容量：各镜像要几个副本，放在哪些卡上，还缺什么。放不下是错误，模拟时排不上是警告。"""
    with reported():
        body = parse_plan_body(file.read())
        found = use_registry(url, lambda registry: registry.plan(body))
        cards = {} if as_json else cards_of(check_plan_request(body))
    if as_json:
        print_json(found)
    else:
        _tell(found, cards)
    severities = fails(fail_on)
    if ("error" in severities and not found["fits"]) or (
        "warning" in severities and any(found["scheduler"]["pending"])
    ):
        raise typer.Exit(1)


def _tell(found: Mapping[str, Any], cards: Mapping[str, Sequence[CardUse]]) -> None:
    console.print(table(_DEMAND, map(_demand, found["demand"]), "需要的镜像，及每个副本的路数和资源"))
    for row in found["demand"]:
        print_line(f"{row['image']}用于：{'；'.join(_because(row))}")
    totals = ((_TOTALS.get(name, name), *each.values()) for name, each in found["totals"].items())
    console.print(table(("总量", "需要", "拥有", "可用"), totals))
    for lines in (_placed(found, cards), _missing(found), _simulated(found["scheduler"])):
        for line, style in lines:
            print_line(line, style)
    for assumption in found["assumptions"]:
        say(f"说明：{assumption}")


def _demand(row: Mapping[str, Any]) -> tuple[object, ...]:
    return row["image"], row["channels"], row["perReplica"] or "未知", row["replicas"], *row["each"].values()


def _because(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield each group of cameras, with the images through which it needs this one."""
    for why in row["because"]:
        others = [image for image in why["images"] if image != row["image"]]
        yield f"{why['cameras']}（{'、'.join(others)}）" if others else why["cameras"]


def _placed(found: Mapping[str, Any], cards: Mapping[str, Sequence[CardUse]]) -> Lines:
    """Yield a line with a bar for each card of the nodes that are used, and one for what uses no card."""
    each = {row["image"]: row["each"]["gpuMemory"] for row in found["demand"]}
    nodes = placed_by_card(found)
    yield f"放置（{len(nodes)}个节点）", "bold"
    for name, placed in list(nodes.items())[:_SHOWN]:
        yield name, "bold"
        known = cards.get(name, ())
        for at in sorted({*placed, *range(len(known))} - {None}):
            planned = sum(each[row["image"]] * row["replicas"] for row in placed[at])
            yield f"  卡{at} {_bar(planned, known[at] if at < len(known) else None)}  {_images(placed[at])}", None
        if None in placed:
            yield f"  不用GPU：{_images(placed[None])}", None
    if len(nodes) > _SHOWN:
        yield f"还有{len(nodes) - _SHOWN}个节点未列出，可用--json输出全部", None


def _bar(planned: int, card: CardUse | None) -> str:
    """Draw how much of the card's memory is in use, planned and free."""
    if card is None:
        return f"{planned}MiB"
    if not card.memory:
        return "不可用"
    scale = max(card.memory, card.running + planned, 1)
    before, after = card.running * _BAR // scale, (card.running + planned) * _BAR // scale
    drawn = "▓" * before + "█" * (after - before) + "░" * (_BAR - after)
    running = f"，已用{card.running}" if card.running else ""
    return f"{drawn} {planned}/{card.memory}MiB{running}"


def _images(placed: Sequence[Mapping[str, Any]]) -> str:
    return "、".join(f"{row['image']}×{row['replicas']}" for row in placed) or "空"


def _missing(found: Mapping[str, Any]) -> Lines:
    if found["fits"]:
        yield "全部放得下", "green"
    for row in found["unplaced"]:
        yield f"放不下：{row['image']}×{row['replicas']}（{_PROOFS.get(row['proof'], row['proof'])}）", "bold red"
        for each in row["reasons"]:
            amounts = "" if each["need"] is None else f"，需要{each['need']}，最多剩余{each['largestFree']}"
            yield f"  {each['nodes']}个节点：{each['reason']}{amounts}", "red"
    more = "，并".join(f"加{each['count']}个与{each['like']}相同的节点" for each in found["addNodes"])
    if more:
        yield f"再{more}就放得下", "yellow"


def _simulated(scheduler: Mapping[str, Any]) -> Lines:
    pending = scheduler["pending"]
    if pending:
        style = "yellow" if any(pending) else None
        yield f"模拟调度器{len(pending)}次，排不上的副本：{'、'.join(map(str, pending))}", style
