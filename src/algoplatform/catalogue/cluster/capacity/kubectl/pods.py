"""Reads pods: what each pod holds on its node, unless it has ended."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from algoplatform.catalogue.cluster.capacity.kubectl.devices import allocated, index_of
from algoplatform.catalogue.cluster.capacity.kubectl.emptiest import Emptiest
from algoplatform.catalogue.cluster.capacity.kubectl.nodes import KubeNodes
from algoplatform.catalogue.cluster.capacity.kubectl.values import MIB, MILLI, ONE, whole
from algoplatform.catalogue.cluster.capacity.sharing import Sharing
from algoplatform.domain.errors import clip
from algoplatform.domain.plan.model import MAX_CARDS, MAX_PODS
from algoplatform.domain.plan.rows import Faults
from algoplatform.manifests.parts import items, mapping, text
from algoplatform.planning.capacity.model import Amounts, Held

_ENDED: Final = frozenset(["Succeeded", "Failed"])
_UNITS: Final = {"cpu": MILLI, "memory": MIB}
_SHOWN: Final = 10
# Cards held by all pods, each card counted once per pod. A single pod may name any number of cards.
_MOST_HELD: Final = 4 * MAX_PODS

Requests = Counter[str]


@dataclass(slots=True)
class KubePods:
    """What pods hold; `spread` names the nodes of pods whose cards are not known."""

    sharing: Sharing
    nodes: KubeNodes
    cards: Mapping[str, Emptiest]
    held: Counter[tuple[str, int | None, Amounts]] = field(default_factory=Counter)
    taken: int = 0
    spread: dict[str, None] = field(default_factory=dict)


def read_pods(listed: Mapping[str, Any], nodes: KubeNodes, sharing: Sharing, faults: Faults) -> tuple[Held, ...]:
    """Read the output of `kubectl get pods -A`."""
    found = KubePods(sharing, nodes, {node.name: Emptiest(node.cards) for node in nodes.nodes})
    placed = [pod for pod in items(listed, "items") if _is_placed(pod, found)]
    if len(placed) > MAX_PODS:
        faults.tell("kubectl.pods", f"至多{MAX_PODS}个运行中的容器组，实际为{len(placed)}个")
        return ()
    # Pods whose cards are known come first: the others are spread over the rest.
    for pod in sorted(placed, key=lambda pod: not allocated(pod, sharing) and index_of(pod, sharing) is None):
        _hold(found, pod)
        if found.taken > _MOST_HELD:
            faults.tell("kubectl.pods", f"中的容器组合计至多占用GPU卡{_MOST_HELD}次")
            return ()
    if found.spread:
        named = "、".join(map(clip, list(found.spread)[:_SHOWN]))
        more = f"等{len(found.spread)}个节点" if len(found.spread) > _SHOWN else ""
        nodes.assumptions.append(f"节点{named}{more}上有容器组没有注明所用的GPU卡，按最空闲的卡计算")
    return tuple(Held(node, card, each, pods) for (node, card, each), pods in found.held.items())


def _is_placed(pod: Mapping[str, Any], found: KubePods) -> bool:
    return text(pod, "spec", "nodeName") in found.cards and text(pod, "status", "phase") not in _ENDED


def _hold(found: KubePods, pod: Mapping[str, Any]) -> None:
    node, asked = text(pod, "spec", "nodeName"), requests(pod)
    own = Amounts(asked["cpu"], asked["memory"])
    held = list(_cards_of(found, pod, node, asked))
    if not held:
        found.held[node, None, own] += 1
    for position, (card, mib, shares) in enumerate(held):
        # CPU and memory are counted once, with the first card.
        cpu, memory = (own.cpu, own.memory) if not position else (0, 0)
        found.held[node, card, Amounts(cpu, memory, mib, shares)] += 1


def requests(pod: Mapping[str, Any]) -> Requests:
    """Return what the scheduler counts for a pod: CPU in m, memory in MiB, other resources by their numbers."""
    running: Requests = Counter()
    highest: Requests = Counter()
    for container in items(pod, "spec", "initContainers"):
        asked = _asked(mapping(container, "resources"))
        if container.get("restartPolicy") == "Always":
            running += asked
            highest |= running
        else:
            highest |= asked + running
    for container in items(pod, "spec", "containers"):
        running += _asked(mapping(container, "resources"))
    return (running | highest) + _amounts(mapping(pod, "spec", "overhead"))


def _asked(resources: Mapping[str, Any]) -> Requests:
    # Without a request, the limit is the request.
    return _amounts({**mapping(resources, "limits"), **mapping(resources, "requests")})


def _amounts(given: Mapping[str, Any]) -> Requests:
    found = ((name, whole(quantity, _UNITS.get(name, ONE), up=True)) for name, quantity in given.items())
    return Counter({name: number for name, number in found if number})


def _cards_of(found: KubePods, pod: Mapping[str, Any], node: str, asked: Requests) -> Iterator[tuple[int, int, int]]:
    """Yield card, MiB and shares of each card that a pod holds."""
    noted = allocated(pod, found.sharing)
    uuids = found.nodes.uuids.get(node, {})
    cards = found.cards[node].cards
    for uuid, mib in noted:
        if uuid in uuids:
            yield _taken(found, node, uuids[uuid], mib, 1)
    for size, shares in _requested(found.sharing, asked, found.nodes.slices[node]) if cards and not noted else ():
        card = _card(found, pod, node, size)
        yield _taken(found, node, card, cards[card].memory if size is None else size, shares)


def _card(found: KubePods, pod: Mapping[str, Any], node: str, mib: int | None) -> int:
    """Return the card that a pod's annotation names, else that with the most free memory; the node must have cards."""
    noted = index_of(pod, found.sharing)
    cards = found.cards[node]
    if noted is not None and noted < len(cards.cards):
        return noted
    if len(cards.cards) > 1:
        found.spread[node] = None
    return cards.find(mib if found.sharing.has_units else None)


def _taken(found: KubePods, node: str, card: int, mib: int, shares: int) -> tuple[int, int, int]:
    found.cards[node].free[card] -= mib
    found.taken += 1
    return card, mib, shares


def _requested(sharing: Sharing, asked: Requests, slices: Mapping[str, int]) -> Iterator[tuple[int | None, int]]:
    """Yield MiB, None for a whole card, and shares of each card that a pod requests."""
    profile = sharing.profile
    for resource, size in slices.items():
        yield from [(size, 1)] * min(asked[resource], MAX_CARDS)
    cards = min(asked[profile.count or profile.whole_cards or ""], MAX_CARDS)
    memory = asked[profile.memory or ""] * profile.unit_mib
    if memory:
        yield from [(memory, sharing.shares_of(asked[profile.core or ""]))] * (cards or 1)
    elif cards and sharing.is_unlimited:
        yield from [(0, 1)] * cards
    else:
        yield from [(None, 1)] * cards
