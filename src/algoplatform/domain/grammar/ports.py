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
from functools import lru_cache, partial
from typing import Final, NamedTuple, Self

from algoplatform.domain.errors import too_long
from algoplatform.domain.grammar.items import Items, Key, ListGrammar, before_colon

MAX_NAME: Final = 63
CONTAINER_PORTS: Final = range(1, 65536)
NODE_PORTS: Final = range(30000, 32768)

_NAME: Final = r"[a-z0-9]++(?:-++[a-z0-9]++)*"
_NUMBER: Final = r"[1-9][0-9]{0,4}+"
_ITEM: Final = rf"(?![^:]{{{MAX_NAME + 1}}}){_NAME}:{_NUMBER}(?::{_NUMBER})?"
_NAME_RE: Final = re.compile(_NAME)
_NUMBER_RE: Final = re.compile(_NUMBER)


class ImagePort(NamedTuple):
    """A named container port, and optionally the node port that exposes it."""

    name: str
    container_port: int
    node_port: int | None = None

    def __str__(self) -> str:
        port = f"{self.name}:{self.container_port}"
        return port if self.node_port is None else f"{port}:{self.node_port}"


class ImagePorts(Items[ImagePort]):
    """The ports of an image: `service1:5016:30016,service:8888`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str, node_ports: range = NODE_PORTS) -> Self:
        """Parse comma-separated ports; `node_ports` is the cluster's range. Raises Malformed."""
        return cls(_grammar(node_ports).parse(text))


@lru_cache
def _grammar(node_ports: range) -> ListGrammar[ImagePort]:
    names, nodes = Key("的名称", before_colon), Key("的节点端口", partial(_node_port, node_ports))
    return ListGrammar(_ITEM, partial(_built, node_ports), partial(_port_faults, node_ports), names, nodes)


def _built(node_ports: range, item: str) -> ImagePort | None:
    name, container, node = _parts(item)
    port = ImagePort(name, int(container), int(node) if node else None)
    is_known = port.container_port in CONTAINER_PORTS and (port.node_port is None or port.node_port in node_ports)
    return port if is_known else None


def _node_port(node_ports: range, item: str) -> str:
    number = _parts(item)[2]
    return number if number and _is_number(number, node_ports) else ""


def _parts(item: str) -> tuple[str, str, str]:
    name, _, numbers = item.partition(":")
    container, _, node = numbers.partition(":")
    return name, container, node


def _port_faults(node_ports: range, item: str) -> Iterator[str]:
    parts = item.split(":")
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
        yield f"的名称{too_long(name, MAX_NAME)}"


def _is_number(text: str, allowed: range) -> bool:
    return _NUMBER_RE.fullmatch(text) is not None and int(text) in allowed


def _hint(number: str) -> str:
    return "，不能有前导0或符号" if len(number) > 1 and number[0] in "0+-" else ""
