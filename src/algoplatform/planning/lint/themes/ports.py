"""Rules on imagePorts. Node ports that several images share are found by a rule across records."""

from functools import lru_cache
from typing import Final

from algoplatform.domain.errors import clip
from algoplatform.planning.lint.findings import Flaw
from algoplatform.planning.lint.record import ports

# Names of container ports are limited to 15 characters and need a letter, unlike those of Service ports.
_LONGEST: Final = 15


def reserved(node_ports: range) -> range:
    """Return the node ports that Kubernetes never chooses itself: 30000 to 30085 by default."""
    return node_ports[: min(max(16, len(node_ports) // 32), 128)]


def flaws(text: str, kept: range) -> list[Flaw]:
    """Return the flaws of a list of ports; `kept` are the node ports that Kubernetes never chooses itself."""
    found: list[Flaw] = []
    seen: dict[str, str] = {}
    for name, number, node_port in ports(text):
        other = seen.setdefault(number, name)
        if other is not name:
            message = f"端口“{clip(name)}”与“{clip(other)}”是同一容器端口{number}"
            found.append(Flaw("port-duplicate", "imagePorts", int(number), message))
        if node_port and int(node_port) not in kept:
            found.append(_dynamic(int(node_port)))
        if len(name) > _LONGEST:
            found.append(_unnamed("port-name-long", name, f"超过{_LONGEST}个字符"))
        if not name.islower():
            found.append(_unnamed("port-name-digits", name, "中没有字母"))
    return found


@lru_cache(4096)
def _dynamic(node_port: int) -> Flaw:
    message = f"节点端口{node_port}可能已被Kubernetes自动分配给别的Service"
    return Flaw("node-port-dynamic", "imagePorts", node_port, message)


def _unnamed(rule: str, name: str, why: str) -> Flaw:
    return Flaw(rule, "imagePorts", name, f"端口名称“{clip(name)}”{why}，容器端口将没有名称")
