"""The ports on which an image listens.

    ports           = port {"," port}                             (* each name once, each node port once *)
    port            = name ":" container-port [":" node-port]
    name            = /[a-z0-9]([-a-z0-9]*[a-z0-9])?/             (* at most 63 characters *)
    container-port  = number                                      (* 1 to 65535 *)
    node-port       = number                                      (* the cluster's, by default 30000 to 32767 *)
    number          = /[1-9][0-9]*/

Source: Kubernetes, where the name of a ServicePort is a DNS label (RFC 1123) and nodePort lies in
--service-node-port-range.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from algoplatform.domain.errors import Malformed
from algoplatform.domain.faults import Flaw
from algoplatform.domain.grammar.items import item_faults, repeat_faults

MAX_NAME: Final = 63
CONTAINER_PORTS: Final = range(1, 65536)
NODE_PORTS: Final = range(30000, 32768)

_NAME = r"[a-z0-9]++(?:-++[a-z0-9]++)*"
_NUMBER = r"[1-9][0-9]{0,4}+"
_ITEM = rf"(?![^:]{{{MAX_NAME + 1}}})({_NAME}):({_NUMBER})(?::({_NUMBER}))?"
_NAME_RE = re.compile(_NAME)
_NUMBER_RE = re.compile(_NUMBER)
_ITEM_RE = re.compile(_ITEM)
_LIST_RE = re.compile(f"(?>{_ITEM})(?:,(?>{_ITEM}))*")


@dataclass(frozen=True, slots=True)
class ImagePort:
    """A named container port, and optionally the node port that exposes it."""

    name: str
    container_port: int
    node_port: int | None = None

    def __str__(self) -> str:
        port = f"{self.name}:{self.container_port}"
        return port if self.node_port is None else f"{port}:{self.node_port}"


@dataclass(frozen=True, slots=True)
class ImagePorts:
    """The ports of an image: `service1:5016:30016,service:8888`."""

    items: tuple[ImagePort, ...]

    @classmethod
    def parse(cls, text: str, node_ports: range = NODE_PORTS) -> Self:
        """Parse comma-separated ports; `node_ports` is the cluster's range. Raises Malformed."""
        items = _read(text, node_ports)
        if items:
            return cls(tuple(items))
        raise Malformed.first(_faults(text.split(","), node_ports))

    def __str__(self) -> str:
        return ",".join(map(str, self.items))


def _read(text: str, node_ports: range) -> list[ImagePort]:
    """Return the ports of valid text, or an empty list if it is invalid."""
    items: list[ImagePort] = []
    names: set[str] = set()
    nodes: set[int] = set()
    for name, container, node in _ITEM_RE.findall(text) if _LIST_RE.fullmatch(text) else ():
        container_port, node_port = int(container), int(node) if node else None
        if name in names or node_port in nodes or container_port not in CONTAINER_PORTS:
            return []
        if node_port is not None:
            if node_port not in node_ports:
                return []
            nodes.add(node_port)
        names.add(name)
        items.append(ImagePort(name, container_port, node_port))
    return items


def _faults(items: list[str], node_ports: range) -> Iterator[Flaw]:
    yield from item_faults(items, lambda item: _port_faults(item.split(":"), node_ports))
    yield from repeat_faults(items, "的名称", lambda item: item.partition(":")[0])
    yield from repeat_faults(items, "的节点端口", lambda item: _node_port(item.split(":"), node_ports))


def _port_faults(parts: list[str], node_ports: range) -> Iterator[str]:
    if not 2 <= len(parts) <= 3:
        yield "须写作“名称:容器端口”或“名称:容器端口:节点端口”"
    yield from _name_faults(parts[0])
    for what, number, allowed in zip(("容器端口", "节点端口"), parts[1:], (CONTAINER_PORTS, node_ports), strict=False):
        if not _is_number(number, allowed):
            yield f"的{what}须为{allowed.start}至{allowed.stop - 1}的整数{_hint(number)}"


def _name_faults(name: str) -> Iterator[str]:
    if not name:
        yield "的名称为空"
    elif not _NAME_RE.fullmatch(name):
        yield "的名称只能用小写字母、数字和“-”，且不能以“-”开头或结尾"
    if len(name) > MAX_NAME:
        yield f"的名称长度不能超过{MAX_NAME}个字符，实际为{len(name)}个"


def _is_number(text: str, allowed: range) -> bool:
    return _NUMBER_RE.fullmatch(text) is not None and int(text) in allowed


def _hint(number: str) -> str:
    return "，不能有前导0或符号" if len(number) > 1 and number[0] in "0+-" else ""


def _node_port(parts: list[str], node_ports: range) -> str:
    return parts[2] if len(parts) == 3 and _is_number(parts[2], node_ports) else ""
