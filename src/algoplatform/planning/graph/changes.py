"""Changes of an image that harm its dependents."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from algoplatform.domain.grammar.paths import canonical
from algoplatform.domain.grammar.ports import ImagePort
from algoplatform.domain.record.model import Image


@dataclass(frozen=True, slots=True)
class Change:
    """A harmful change of one field, with a Chinese message.

    `replicas` is set if tvChannel drops: the replicas needed before and after, the latter None if unknown.
    """

    field: str
    before: str | int | None
    after: str | int | None
    message: str
    replicas: tuple[int, int | None] | None = None

    def document(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"field": self.field, "from": self.before, "to": self.after}
        if self.replicas is not None:
            shown["replicas"] = dict(zip(("from", "to"), self.replicas, strict=True))
        return shown | {"message": self.message}


def harmful_changes(old: Image, new: Image, channels: int | None = None) -> list[Change]:
    """Return what dependents lose when the new image replaces the old one, in field order.

    `channels` is the number of video channels to serve; by default, those of one replica of the old image.
    """
    return [
        *_ports(old, new),
        *_paths_gone("imageMount", old.image_mount, new.image_mount),
        *_channels_down(old.tv_channel, new.tv_channel, channels),
        *_gpu_up(old.gpu_requests, new.gpu_requests),
        *_another_event(old.event_type, new.event_type),
        *_paths_gone("hostPath", old.host_path, new.host_path),
    ]


def _ports(old: Image, new: Image) -> Iterator[Change]:
    now = new.image_ports.items if new.image_ports else ()
    for port in old.image_ports.items if old.image_ports else ():
        lost = list(_lost(port, now))
        if lost:
            successor = next((item for item in now if item.name == port.name), None)
            successor = successor or next((item for item in now if item.container_port == port.container_port), None)
            yield Change("imagePorts", str(port), str(successor) if successor else None, "；".join(lost))


def _lost(port: ImagePort, now: tuple[ImagePort, ...]) -> Iterator[str]:
    """Yield a message for each loss: the port's number, the number that its name stands for, its node port."""
    if all(item.container_port != port.container_port for item in now):
        yield f"端口{port.container_port}（{port.name}）不再提供"
    elif all((item.name, item.container_port) != (port.name, port.container_port) for item in now):
        yield f"端口名称{port.name}不再指端口{port.container_port}"
    if port.node_port is not None:
        behind = next((item.container_port for item in now if item.node_port == port.node_port), None)
        if behind is None:
            yield f"节点端口{port.node_port}不再提供"
        elif behind != port.container_port:
            yield f"节点端口{port.node_port}改为指向端口{behind}"


def _paths_gone(field: str, old: Any, new: Any) -> Iterator[Change]:
    kept = {_plain(item) for item in new.items} if new else set()
    for item in old.items if old else ():
        if _plain(item) not in kept:
            yield Change(field, str(item), None, f"{field}不再有{item}")


def _plain(item: Any) -> tuple[str, ...]:
    """Return a path or a pair of paths in canonical form, in which `/data` and `/data/` are equal."""
    return tuple(map(canonical, str(item).split(":")))


def _channels_down(old: int | None, new: int | None, channels: int | None) -> Iterator[Change]:
    # An empty field or 0 promised no channels.
    if not old or (new or 0) >= old:
        return
    wanted = old if channels is None else channels
    before, after = _ceil(wanted, old), _ceil(wanted, new) if new else None
    needed = f"{wanted}路需要的副本由{before}个增加到{after}个" if after else "新的路数未知，无法计算副本数"
    yield Change("tvChannel", old, new, f"每个副本的视频路数由{old}降为{new or 0}，{needed}", (before, after))


def _gpu_up(old: int | None, new: int | None) -> Iterator[Change]:
    if (new or 0) > (old or 0):
        yield Change("gpuRequests", old, new, f"gpu显存由{old or 0}MiB增加到{new}MiB")


def _another_event(old: int | None, new: int | None) -> Iterator[Change]:
    if old is not None and new != old:
        yield Change("eventType", old, new, f"算法编号由{old}变为{'空' if new is None else new}")


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)
