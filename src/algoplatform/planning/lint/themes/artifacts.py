"""Rules on what a registry said about an image; an image that was never verified has no facts, so no flaws."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from algoplatform.domain.errors import clip
from algoplatform.planning.lint.findings import Flaw
from algoplatform.planning.lint.record import Record, ports

_STALE_DAYS: Final = 30
_ROOT: Final = frozenset({"", "0", "root"})
# Ports or platforms to list at most: an image may declare a thousand.
_MOST_PORTS: Final = 20
# A declared port may be any text, such as a range.
_NUMBER: Final = re.compile("[0-9]{1,5}")


def flaws(facts: Mapping[str, Any], record: Record, platform: str) -> Iterator[Flaw]:
    """Yield the flaws that the last verification shows.

    `facts` holds state, moved, days (since the verification), and platforms as in a response. `platform` is the
    nodes' os/architecture.
    """
    tag: str = record["imageTag"]
    if facts["state"] == "missing":
        yield Flaw("artifact-missing", "imageTag", tag, "仓库中没有这个镜像，无法部署")
    if facts["moved"]:
        yield Flaw("artifact-moved", "imageTag", tag, "仓库中这个标签已指向另一个镜像，与首次校验时不同")
    if facts["days"] > _STALE_DAYS:
        yield Flaw("artifact-stale", "imageTag", facts["days"], f"上次校验已过去{facts['days']}天，结果可能已过时")
    platforms: Sequence[Mapping[str, Any]] = facts["platforms"]
    if not platforms:
        return
    by_name = {f"{each['os']}/{each['architecture']}": each for each in platforms}
    if platform not in by_name:
        named = "、".join(map(clip, list(by_name)[:_MOST_PORTS]))
        yield Flaw("artifact-platform", "imageName", platform, f"镜像没有{platform}平台，只有{named}")
    chosen = by_name.get(platform, platforms[0])
    yield from _ports(record.get("imagePorts") or "", chosen["exposedPorts"])
    if chosen["user"].partition(":")[0] in _ROOT:
        yield Flaw("artifact-root", "imageName", chosen["user"] or "root", "镜像以root用户运行")


def _ports(text: str, exposed: Sequence[str]) -> Iterator[Flaw]:
    declared = [port.removesuffix("/tcp") for port in exposed if port.endswith("/tcp") or "/" not in port]
    listed = list(dict.fromkeys(number for _, number, _ in ports(text)))
    # Many images declare no port, though they listen on some.
    unexposed = [port for port in listed if port not in declared] if declared else []
    for port in unexposed[:_MOST_PORTS]:
        yield Flaw("artifact-ports", "imagePorts", int(port), f"imagePorts中的端口{port}没有在镜像中声明（EXPOSE）")
    for port in [port for port in declared if port not in listed][:_MOST_PORTS]:
        value = int(port) if _NUMBER.fullmatch(port) else clip(port)
        yield Flaw("artifact-ports", "imagePorts", value, f"镜像声明了端口{clip(port)}（EXPOSE），imagePorts中没有")
