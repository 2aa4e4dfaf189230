"""Checks the body of `_plan`; the field of a fault is a path such as `nodes[0].count`."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from algoplatform.domain.errors import Malformed, clip_reference
from algoplatform.domain.plan.model import (
    MAX_CARDS,
    MAX_IMAGES,
    MAX_NODES,
    MAX_PODS,
    MAX_SIMULATIONS,
    Cameras,
    CardRow,
    Margin,
    NodeRow,
    PlanRequest,
    RunningRow,
)
from algoplatform.domain.plan.rows import Faults, check_image, check_labels, check_name, integer
from algoplatform.domain.record.fields import choice, is_blank
from algoplatform.domain.record.wording import unknown_faults
from algoplatform.domain.requests import Checks, require_object

# Images that all groups together may name, including duplicates.
_MOST_NAMED: Final = 10 * MAX_IMAGES
_MOST_CARD_ROWS: Final = 100
_MOST_SHARES: Final = 1_000
_NOT_ALL: Final = 99

_PARTS: Final = ("cameras", "nodes", "running", "kubectl", "reserve", "overrides")
_OWN: Final[Checks] = {
    "profile": check_name,
    "unknownChannels": choice("one", "refuse"),
    "simulate": integer(0, MAX_SIMULATIONS),
}
_RESERVE: Final[Checks] = {"gpuMemoryPercent": integer(0, _NOT_ALL), "nodes": integer(0, MAX_NODES)}
_OVERRIDE: Final[Checks] = {"channelsPerReplica": integer()}
_NODE: Final[Checks] = {
    "name": check_name,
    "count": integer(1, MAX_NODES),
    "cpu": integer(0),
    "memory": integer(0),
    "pods": integer(),
    "labels": check_labels,
    "cards": lambda value: value,
}
_CARD: Final[Checks] = {"count": integer(1, MAX_CARDS), "memory": integer(), "shares": integer(1, _MOST_SHARES)}
_AMOUNTS: Final[Checks] = {"cpu": integer(0), "memory": integer(0), "gpuMemory": integer(0)}
_RUNNING: Final[Checks] = {
    "node": check_name,
    "card": integer(0, MAX_CARDS),
    "image": check_image,
    **_AMOUNTS,
    "replicas": integer(1, MAX_PODS),
}


def check_plan_request(given: object) -> PlanRequest:
    """Check a request; raises Refused with every fault. The images and the GPU profile are looked up later."""
    body, faults = require_object(given), Faults()
    request = PlanRequest(
        cameras=_cameras(body.get("cameras"), faults),
        nodes=_nodes(body, faults),
        kubectl=_kubectl(body, faults),
        reserve=Margin(**faults.fields(faults.object(body.get("reserve"), "reserve"), _RESERVE, "reserve")),
        overrides=_overrides(body.get("overrides"), faults),
        **faults.fields({name: value for name, value in body.items() if name not in _PARTS}, _OWN),
    )
    request = replace(request, running=_running(body.get("running"), request.nodes, faults))
    faults.end()
    return request


def _cameras(given: object, faults: Faults) -> tuple[Cameras, ...]:
    if is_blank(given) or given == []:
        faults.tell("cameras", "不能为空")
    left = _MOST_NAMED

    def images(value: object) -> tuple[str, ...]:
        nonlocal left
        found = _images(value, left)
        left -= len(found)
        return found

    checks: Checks = {"name": check_name, "channels": integer(), "pictures": integer(0), "images": images}

    def read(row: Mapping[str, Any], path: str) -> Cameras:
        values = faults.fields(row, checks, path, ("name", "images"))
        if is_blank(row.get("channels")) and values.get("pictures", 0) == 0:
            faults.tell(path, "须有channels或pictures，至少为1")
        return Cameras(values.pop("name", ""), values.pop("images", ()), **values)

    groups = faults.rows(given, "cameras", MAX_IMAGES, read)
    faults.once((f"{path}.name", group.name) for path, group in groups if group.name)
    if len({image for _, group in groups for image in group.images}) > MAX_IMAGES:
        faults.tell("cameras", f"中的镜像至多{MAX_IMAGES}个")
    return tuple(group for _, group in groups)


def _images(given: object, most: int) -> tuple[str, ...]:
    if not isinstance(given, list) or not given:
        raise Malformed("须为镜像编号或镜像名:标签名的列表，不能为空")
    if len(given) > most:
        raise Malformed(f"过多：各组的镜像合计至多{_MOST_NAMED}项")
    wrong = [position for position, item in enumerate(given, 1) if not _is_image(item)]
    if wrong:
        raise Malformed.first(f"的第{position}项须为镜像编号或镜像名:标签名" for position in wrong)
    return tuple(dict.fromkeys(given))


def _is_image(item: object) -> bool:
    try:
        return not is_blank(item) and bool(check_image(item))
    except Malformed:
        return False


def _nodes(body: Mapping[str, Any], faults: Faults) -> tuple[NodeRow, ...]:
    given = body.get("nodes")
    if not is_blank(given) and given != [] and not is_blank(body.get("kubectl")):
        faults.tell("nodes", "与kubectl不能同时给出")
    elif (is_blank(given) or given == []) and is_blank(body.get("kubectl")):
        faults.tell("nodes", "不能为空，或给出kubectl")

    def read(row: Mapping[str, Any], path: str) -> NodeRow:
        values = faults.fields(row, _NODE, path, ("name", "cpu", "memory"))
        values["cards"] = tuple(_cards(row.get("cards"), f"{path}.cards", faults))
        return NodeRow(values.pop("name", ""), values.pop("cpu", 0), values.pop("memory", 0), **values)

    rows = faults.rows(given, "nodes", MAX_NODES, read)
    nodes = sum(row.count for _, row in rows)
    cards = sum(row.count * row.card_count for _, row in rows)
    for number, most, what in ((nodes, MAX_NODES, "个节点"), (cards, MAX_CARDS, "张GPU卡")):
        if number > most:
            faults.tell("nodes", f"共有{number}{what}，至多{most}{what[0]}")
    named = ((f"{path}.name", name) for path, row in rows if row.name for name in row.names)
    faults.once(islice(named, 2 * MAX_NODES))
    return tuple(row for _, row in rows)


def _cards(given: object, path: str, faults: Faults) -> Iterator[CardRow]:
    def read(row: Mapping[str, Any], place: str) -> CardRow:
        values = faults.fields(row, _CARD, place, ("memory",))
        return CardRow(values.pop("memory", 1), **values)

    return (row for _, row in faults.rows(given, path, _MOST_CARD_ROWS, read))


def _kubectl(body: Mapping[str, Any], faults: Faults) -> dict[str, Any] | None:
    given = body.get("kubectl")
    if is_blank(given):
        return None
    if not is_blank(body.get("running")) and body.get("running") != []:
        faults.tell("running", "与kubectl不能同时给出")
    found = faults.object(given, "kubectl")
    unknown, more = unknown_faults(found, ("nodes", "pods"), "kubectl.")
    faults.add(unknown, more)
    for name in ("nodes", "pods"):
        listed = found.get(name)
        if listed is None and name == "pods":
            continue
        if not isinstance(listed, dict) or not isinstance(listed.get("items"), list):
            faults.tell(f"kubectl.{name}", f"须为kubectl get {name} -o json的输出")
    return found


def _overrides(given: object, faults: Faults) -> dict[str, int]:
    found: dict[str, int] = {}
    images = faults.object(given, "overrides")
    if len(images) > _MOST_NAMED:
        faults.tell("overrides", f"至多{_MOST_NAMED}项")
        return found
    for image, value in images.items():
        path = f"overrides.{clip_reference(image)}"
        values = faults.fields(faults.object(value, path), _OVERRIDE, path, _OVERRIDE)
        found[image] = values.get("channels_per_replica", 1)
    return found


def _running(given: object, nodes: tuple[NodeRow, ...], faults: Faults) -> tuple[RunningRow, ...]:
    few = sum(row.count for row in nodes) <= MAX_NODES
    cards = {name: row.card_count for row in nodes for name in row.names} if few else {}

    def read(row: Mapping[str, Any], path: str) -> RunningRow:
        values = faults.fields(row, _RUNNING, path, ("node",))
        found = RunningRow(values.pop("node", ""), **values)
        if cards and found.node:
            _check_place(found, cards, path, faults)
        _check_amounts(row, found, path, faults)
        return found

    rows = faults.rows(given, "running", MAX_PODS, read)
    if sum(row.replicas for _, row in rows) > MAX_PODS:
        faults.tell("running", f"的副本合计至多{MAX_PODS}个")
    return tuple(row for _, row in rows)


def _check_place(row: RunningRow, cards: Mapping[str, int], path: str, faults: Faults) -> None:
    if row.node not in cards:
        faults.tell(f"{path}.node", f"不在nodes中：“{clip_reference(row.node)}”")
    elif row.card is not None and row.card >= cards[row.node]:
        faults.tell(f"{path}.card", f"须小于这个节点的卡数{cards[row.node]}")
    elif row.gpu_memory and row.card is None:
        faults.tell(f"{path}.card", "不能为空：gpuMemory大于0")


def _check_amounts(given: Mapping[str, Any], row: RunningRow, path: str, faults: Faults) -> None:
    amounts = [name for name in _AMOUNTS if not is_blank(given.get(name))]
    if row.image is not None and amounts:
        faults.tell(f"{path}.image", f"与{'、'.join(amounts)}不能同时给出")
    elif is_blank(given.get("image")) and not amounts:
        faults.tell(path, "须有image，或cpu、memory、gpuMemory")
