"""Which images the cameras need, for how many channels, and in how many replicas.

An image serves each group of cameras that needs it, directly or as a dependency. A dependency that two algorithms
share is counted once if both belong to the same group, and twice if they belong to two groups.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Final

from algoplatform.catalogue.cluster.graph import Closure
from algoplatform.domain.errors import Refused, clip_reference, first_of
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.plan.model import Cameras, PlanRequest
from algoplatform.domain.record.model import Image

# The reasons of an image list at most this many groups, and this many images of each group.
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Need:
    """An image with its channels, pictures and replicas; `per_replica` is the channels of one, None if unknown."""

    image: Image
    channels: int
    pictures: int
    per_replica: int | None
    replicas: int
    because: list[dict[str, Any]]

    @property
    def reference(self) -> str:
        return str(self.image.reference)


@dataclass(slots=True)
class Needs:
    """What the cameras need, dependencies first, and what was assumed."""

    listed: list[Need]
    assumptions: list[str]


def needs(closure: Closure, request: PlanRequest) -> Needs:
    """Return how much of each image of the closure the cameras need.

    Raises Refused: 202 for contradictory overrides of one image, -422 with all images whose channels are unknown,
    if the request says to refuse them.
    """
    by_name = {name: str(image.reference) for name, image in closure.by_name.items()}
    overrides = _overrides(request, by_name)
    needed = _needed_by(closure)
    groups = [
        (group, reduce(or_, (needed.bits[by_name[image]] for image in group.images), 0)) for group in request.cameras
    ]
    found = Needs([], [])
    faults: list[Fault] = []
    is_cut = False
    for member in closure.members:
        reference = str(member.image.reference)
        mask = needed.masks[needed.ring[reference]]
        own = [(group, named & mask) for group, named in groups if named & mask]
        is_cut = is_cut or len(own) > _SHOWN or any(named.bit_count() > _SHOWN for _, named in own)
        per = overrides.get(reference) or member.image.tv_channel or None
        need = _need(member.image, own, per, needed.names)
        unknown = list(_unknown(need))
        if unknown and request.unknown_channels == "refuse":
            named = clip_reference(reference)
            faults += [Fault(field, Code.IMPOSSIBLE, f"{named}没有{field}，不能计算副本数") for field in unknown]
        found.assumptions += [f"{reference}没有{field}，按1个副本计算" for field in unknown]
        found.listed.append(need)
    if faults:
        raise Refused(faults)
    found.assumptions += _unused(request, by_name)
    if is_cut:
        found.assumptions.append(f"because只列出前{_SHOWN}组摄像头，每组前{_SHOWN}个镜像")
    return found


@dataclass(frozen=True, slots=True)
class _NeededBy:
    """For each image, the requested images that need it, as bits of a mask; images of one cycle share a mask."""

    names: list[str]
    bits: Mapping[str, int]
    ring: Mapping[str, str]
    masks: Mapping[str, int]


def _needed_by(closure: Closure) -> _NeededBy:
    names = [str(each.image.reference) for each in closure.members if str(each.image.reference) in closure.named]
    bits = {name: 1 << at for at, name in enumerate(names)}
    ring = {str(each.image.reference): str(each.image.reference) for each in closure.members}
    ring |= {name: cycle[0] for cycle in closure.cycles for name in cycle}
    masks = dict.fromkeys(ring.values(), 0)
    for name, bit in bits.items():
        masks[ring[name]] |= bit
    # From the highest level down: images of the same level need each other only within a cycle.
    for member in reversed(closure.members):
        mask = masks[ring[str(member.image.reference)]]
        for dependency in map(str, member.image.dependencies):
            if dependency in ring:
                masks[ring[dependency]] |= mask
    return _NeededBy(names, bits, ring, masks)


def _overrides(request: PlanRequest, by_name: Mapping[str, str]) -> dict[str, int]:
    """Return the overridden channels of a replica by reference; images that are not planned are left out."""
    found: dict[str, int] = {}
    faults: list[Fault] = []
    for image, channels in request.overrides.items():
        reference = by_name.get(image)
        if reference is not None and found.setdefault(reference, channels) != channels:
            path = f"overrides.{clip_reference(image)}"
            faults.append(Fault(path, Code.FIELD, f"{path}与同一镜像的另一项不一致"))
    if faults:
        raise Refused(faults)
    return found


def _unused(request: PlanRequest, by_name: Mapping[str, str]) -> Iterator[str]:
    unused = [image for image in request.overrides if image not in by_name]
    if unused:
        yield f"overrides中没有用到：{first_of(unused, _SHOWN, '项')}，不是要规划的镜像或其依赖"


def _need(image: Image, own: Sequence[tuple[Cameras, int]], per: int | None, names: Sequence[str]) -> Need:
    channels, pictures = sum(group.channels for group, _ in own), sum(group.pictures for group, _ in own)
    known = (-(-channels // per) if per else 0) + (-(-pictures // image.pics) if image.pics else 0)
    is_unknown = bool((channels and not per) or (pictures and not image.pics))
    because = [{"cameras": group.name, "images": list(_bits(mask, names))} for group, mask in own[:_SHOWN]]
    return Need(image, channels, pictures, per, known + is_unknown, because)


def _bits(mask: int, names: Sequence[str]) -> Iterator[str]:
    for _ in range(_SHOWN):
        if not mask:
            return
        lowest = mask & -mask
        yield names[lowest.bit_length() - 1]
        mask ^= lowest


def _unknown(need: Need) -> Iterator[str]:
    if need.channels and not need.per_replica:
        yield "tvChannel"
    if need.pictures and not need.image.pics:
        yield "pics"
