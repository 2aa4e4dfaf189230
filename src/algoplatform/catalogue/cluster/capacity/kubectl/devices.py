"""The cards of a node, and those that a pod holds, as device plugins report them.

HAMi and Volcano register cards in an annotation of the node: a JSON list of `{id, index?, count, devmem, health}`, or
cards separated by colons, with their fields separated by commas: `uuid,shares,MiB,…,health,…`. Their schedulers
write the cards of a pod into its annotation: `uuid,type,MiB,cores:` for each card, `;` after each container. Other
profiles use allocatable resources and the labels of NVIDIA's feature discovery.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from algoplatform.catalogue.cluster.capacity.kubectl.values import count
from algoplatform.catalogue.cluster.capacity.sharing import Sharing
from algoplatform.domain.plan.model import MAX_CARDS
from algoplatform.domain.record.fields import MAX_INTEGER
from algoplatform.manifests.parts import mapping, text

# Names of annotations of nodes and pods, by the memory resource of a profile.
_REGISTERED: Final = {
    "nvidia.com/gpumem": "hami.io/node-nvidia-register",
    "volcano.sh/vgpu-memory": "volcano.sh/node-vgpu-register",
}
_ALLOCATED: Final = {
    "nvidia.com/gpumem": "hami.io/vgpu-devices-allocated",
    "volcano.sh/vgpu-memory": "volcano.sh/vgpu-ids-new",
}
_INDEX: Final = {
    "aliyun.com/gpu-mem": "ALIYUN_COM_GPU_MEM_IDX",
    "tencent.com/vcuda-memory": "tencent.com/predicate-gpu-idx-0",
}
# The position of the health field, by the number of fields.
_HEALTH: Final = {5: 4, 6: 4, 7: 6, 9: 6}
_COUNT_LABEL: Final = "nvidia.com/gpu.count"
_REPLICAS_LABEL: Final = "nvidia.com/gpu.replicas"
_MEMORY_LABEL: Final = "nvidia.com/gpu.memory"
_CORES: Final = 100
# Bytes: Kubernetes stores no more annotations with an object. Parsing more would take gigabytes of memory.
_MOST_NOTED: Final = 256 * 1024
_NOT_READ: Final = "的GPU卡注解无法识别，它的卡未计入"


class Unreadable(ValueError):
    """The cards of a node cannot be determined; the message is a Chinese predicate."""


@dataclass(frozen=True, slots=True)
class Device:
    """A card: its id or an empty text, its memory in MiB, and its shares, None if unknown."""

    uuid: str
    memory: int
    shares: int | None
    healthy: bool = True


def devices(node: Mapping[str, Any], allocatable: Mapping[str, Any], sharing: Sharing) -> list[Device]:
    """Return the cards of a node in the order of their indexes; raises Unreadable."""
    profile = sharing.profile
    # A device plugin that was removed leaves its annotation behind, and an allocatable amount of 0.
    if profile.is_none or (profile.count and profile.count in allocatable and not count(allocatable[profile.count])):
        return []
    register = text(node, "metadata", "annotations", _REGISTERED.get(profile.memory or "", ""))
    if len(register) > _MOST_NOTED:
        raise Unreadable(_NOT_READ)
    if register:
        return _registered(register)
    if profile.slices:
        parts = ((size, count(allocatable.get(resource))) for resource, size in slice_sizes(node, sharing).items())
        return [Device("", size, 1) for size, number in parts for _ in range(min(number, MAX_CARDS + 1))]
    return _counted(mapping(node, "metadata", "labels"), allocatable, sharing)


def slice_sizes(node: Mapping[str, Any], sharing: Sharing) -> dict[str, int]:
    """Return the MiB of MIG instances by resource, from the labels of the node, else from the profile."""
    labels = mapping(node, "metadata", "labels")
    slices = sharing.profile.slices
    return {resource: count(labels.get(f"{resource}.memory")) or size for resource, size in slices.items()}


def allocated(pod: Mapping[str, Any], sharing: Sharing) -> list[tuple[str, int]]:
    """Return id and MiB of each card in a pod's annotation; empty if it has none, or one that is too long."""
    noted = text(pod, "metadata", "annotations", _ALLOCATED.get(sharing.profile.memory or "", ""))
    if len(noted) > _MOST_NOTED:
        return []
    fields = (card.split(",") for container in noted.split(";") for card in container.split(":"))
    return [(each[0], int(each[2])) for each in fields if len(each) >= 4 and each[0] and _is_number(each[2])]


def index_of(pod: Mapping[str, Any], sharing: Sharing) -> int | None:
    """Return the index of the card that an annotation of the pod names, None if there is none."""
    noted = text(pod, "metadata", "annotations", _INDEX.get(sharing.profile.memory or "", ""))
    return int(noted) if _is_number(noted) else None


def _registered(register: str) -> list[Device]:
    try:
        return list(_of_json(register) if register.lstrip().startswith("[") else _of_fields(register))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise Unreadable(_NOT_READ) from None


def _of_json(register: str) -> Iterator[Device]:
    # Fields with the value 0 or false are omitted.
    for card in sorted(json.loads(register), key=lambda card: int(card.get("index", 0))):
        memory, shares = _number(str(card.get("devmem", 0))), _number(str(card.get("count", 0)))
        yield Device(str(card.get("id", "")), memory, shares, card.get("health") is True)


def _of_fields(register: str) -> Iterator[Device]:
    for card in filter(None, register.strip().split(":")):
        fields = card.split(",")
        if len(fields) not in _HEALTH:
            raise ValueError
        yield Device(fields[0], _number(fields[2]), _number(fields[1]), fields[_HEALTH[len(fields)]] == "true")


def _counted(labels: Mapping[str, Any], allocatable: Mapping[str, Any], sharing: Sharing) -> list[Device]:
    """Derive equal cards from the allocatable resources of a node."""
    profile = sharing.profile
    units = count(allocatable.get(profile.memory or ""))
    shared = count(allocatable.get(profile.count or ""))
    if not units and not shared:
        return []
    cards = min(_how_many(labels, allocatable, sharing, shared), MAX_CARDS + 1)
    memory = (
        units * profile.unit_mib // cards or count(labels.get(_MEMORY_LABEL)) or min(sharing.options.cards, default=0)
    )
    if not memory:
        raise Unreadable(f"的GPU显存未知，它的卡未计入；可设标签{_MEMORY_LABEL}，或设置ALGOPLATFORM_GPU_CARDS")
    return [Device("", memory, shared // cards or None)] * cards


def _how_many(labels: Mapping[str, Any], allocatable: Mapping[str, Any], sharing: Sharing, shared: int) -> int:
    """Return the number of cards, from the first of these that tells it: whole cards, cores, shares, a label."""
    profile = sharing.profile
    replicas = count(labels.get(_REPLICAS_LABEL))
    per_card = replicas if replicas > 1 else profile.shares_per_card
    return (
        count(allocatable.get(profile.whole_cards or ""))
        or count(allocatable.get(profile.core or "")) // _CORES
        or (shared // per_card if per_card else 0)
        or count(labels.get(_COUNT_LABEL))
        or shared
        or 1
    )


def _number(digits: str) -> int:
    if not _is_number(digits):
        raise ValueError(digits)
    return int(digits)


def _is_number(digits: str) -> bool:
    return (
        digits.isascii() and digits.isdecimal() and len(digits) <= len(str(MAX_INTEGER)) and int(digits) <= MAX_INTEGER
    )
