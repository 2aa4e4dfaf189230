"""Reads nodes: what they can hold, which of them take no pods, and why not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from algoplatform.catalogue.cluster.capacity.kubectl.devices import Unreadable, devices, slice_sizes
from algoplatform.catalogue.cluster.capacity.kubectl.values import MIB, MILLI, count, whole
from algoplatform.catalogue.cluster.capacity.nodes import NOT_SELECTED, Layout, selected, told_left_out
from algoplatform.catalogue.cluster.capacity.sharing import Sharing
from algoplatform.domain.errors import clip
from algoplatform.domain.plan.model import DEFAULT_PODS, MAX_CARDS, MAX_NODES
from algoplatform.domain.plan.rows import Faults, check_name
from algoplatform.manifests.parts import items, mapping, text, within
from algoplatform.planning.capacity.model import Card, LeftOut, Node

_PATH: Final = "kubectl.nodes.items"
_SHOWN: Final = 10
_REPELLING: Final = frozenset(["NoSchedule", "NoExecute"])


@dataclass(slots=True)
class KubeNodes:
    """Nodes that take pods, those that do not, and the cards of each by the id of the device."""

    nodes: list[Node] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    uuids: dict[str, dict[str, int]] = field(default_factory=dict)
    # The MiB of the instances of MIG by resource, for each node.
    slices: dict[str, dict[str, int]] = field(default_factory=dict)
    layout: Layout = field(default_factory=dict)
    # The first node of each size, which the answer names as the model for nodes to add.
    kinds: dict[tuple[int, int, int, tuple[Card, ...]], str] = field(default_factory=dict)
    assumptions: list[str] = field(default_factory=list)


def read_nodes(listed: Mapping[str, Any], sharing: Sharing, faults: Faults) -> KubeNodes:
    """Read the output of `kubectl get nodes`."""
    found = KubeNodes()
    named: list[tuple[str, str]] = []
    cards = 0
    if len(listed["items"]) > MAX_NODES:
        faults.tell("kubectl.nodes", f"至多{MAX_NODES}个节点，实际为{len(listed['items'])}个")
    for path, item in faults.rows(listed["items"], _PATH, MAX_NODES, lambda item, _: item):
        given = {"name": within(item, "metadata", "name")}
        name = faults.fields(given, {"name": check_name}, f"{path}.metadata", ("name",)).get("name")
        if name is None:
            continue
        named.append((f"{path}.metadata.name", name))
        reason = _reason(item, sharing)
        if reason:
            found.left_out.append(LeftOut(name, reason))
        elif cards <= MAX_CARDS:
            cards += _add(found, item, name, path, sharing, faults)
    faults.once(named)
    if cards > MAX_CARDS:
        faults.tell("kubectl.nodes", f"至多{MAX_CARDS}张GPU卡")
    found.assumptions += told_left_out(found.left_out)
    return found


def _add(found: KubeNodes, item: Mapping[str, Any], name: str, path: str, sharing: Sharing, faults: Faults) -> int:
    """Add a node, and return the number of its cards."""
    allocatable = mapping(item, "status", "allocatable")
    cpu, memory = whole(allocatable.get("cpu"), MILLI), whole(allocatable.get("memory"), MIB)
    for resource, amount in (("cpu", cpu), ("memory", memory)):
        if amount is None:
            faults.tell(f"{path}.status.allocatable.{resource}", "须为Kubernetes的数量，如31、31000m、128Gi")
    pods = count(allocatable.get("pods", DEFAULT_PODS))
    cards = _cards(found, item, name, pods, sharing)
    found.slices[name] = slice_sizes(item, sharing)
    size = (cpu or 0, memory or 0, pods, tuple(cards))
    found.nodes.append(Node(name, found.kinds.setdefault(size, name), *size))
    return len(cards)


def _cards(found: KubeNodes, item: Mapping[str, Any], name: str, pods: int, sharing: Sharing) -> list[Card]:
    try:
        known = devices(item, mapping(item, "status", "allocatable"), sharing)
    except Unreadable as error:
        found.assumptions.append(f"节点{clip(name)}{error}")
        return []
    if broken := [str(at) for at, device in enumerate(known) if not (device.healthy and device.memory)]:
        shown = f"：卡{'、'.join(broken[:_SHOWN])}{'等' if len(broken) > _SHOWN else ''}"
        found.assumptions.append(f"节点{clip(name)}有{len(broken)}张GPU卡不健康，未计入{shown}")
    cards: list[Card] = []
    found.uuids[name] = {}
    layout: list[int] = []
    for position, device in enumerate(known):
        if not (device.healthy and device.memory):
            continue
        found.uuids[name][device.uuid] = len(cards)
        units = sharing.units(device.memory, device.shares, pods)
        cards += units
        layout += [position] * len(units)
        if len(cards) > MAX_CARDS:
            break
    # The answer numbers cards as nvidia-smi does, broken ones included.
    if layout != list(range(len(cards))):
        found.layout[name] = tuple(layout)
    return cards


def _reason(item: Mapping[str, Any], sharing: Sharing) -> str | None:
    """Return why a node takes no pods, in the words of the scheduler; None if it takes them."""
    ready = [within(each, "status") for each in items(item, "status", "conditions") if each.get("type") == "Ready"]
    if ready and ready[0] != "True":
        return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
    if within(item, "spec", "unschedulable") is True:
        return "node(s) were unschedulable"
    for taint in items(item, "spec", "taints"):
        if text(taint, "effect") in _REPELLING and not _tolerated(taint, sharing):
            return f"node(s) had untolerated taint {{{clip(text(taint, 'key'))}: {clip(text(taint, 'value'))}}}"
    return None if selected(mapping(item, "metadata", "labels"), sharing) else NOT_SELECTED


def _tolerated(taint: Mapping[str, Any], sharing: Sharing) -> bool:
    key, value, effect = text(taint, "key"), text(taint, "value"), text(taint, "effect")
    return any(
        each.key == key and each.value in (None, value) and each.effect in (None, effect)
        for each in sharing.options.tolerations
    )
