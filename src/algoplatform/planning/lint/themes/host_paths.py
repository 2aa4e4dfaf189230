"""Rules on paths of the node: hostPath, and subPath, whose files are also mounted from the node."""

import re
from collections.abc import Iterator
from typing import Final

from algoplatform.domain.errors import clip
from algoplatform.planning.lint.findings import Flaw
from algoplatform.planning.lint.record import normal, pairs, remembered

_DANGEROUS: Final = frozenset(
    {
        *("/", "/etc", "/root", "/proc", "/var/lib/kubelet"),
        *("/var/run/docker.sock", "/run/docker.sock"),
        *("/var/run/containerd/containerd.sock", "/run/containerd/containerd.sock"),
    }
)
_DRIVER: Final = re.compile(r"/lib(?:cuda|nv)[^/]*")


def flaws(host_path: str | None, sub_path: str | None) -> list[Flaw]:
    fields = {"hostPath": pairs(host_path), "subPath": pairs(sub_path)}
    return [*_privileged(fields), *_dangerous(fields), *_drivers(fields["subPath"])]


@remembered
def hidden(host_path: str, command: str, args: str, working_dir: str | None) -> tuple[Flaw, ...]:
    """Return the flaws of first words (of command and args) and workingDir that lie under a hostPath's target."""
    targets = {target for _, target in pairs(host_path)}
    return tuple(_hidden(targets, {"command": command, "args": args, "workingDir": working_dir or ""}))


def has_driver_library(text: str | None) -> bool:
    """Return whether a list of pairs mounts a library of the GPU driver."""
    if not text or ("/libcuda" not in text and "/libnv" not in text):
        return False
    return any(_is_driver(path) for pair in pairs(text) for path in pair)


def _privileged(fields: dict[str, list[tuple[str, str]]]) -> Iterator[Flaw]:
    for field, mounted in fields.items():
        if mounted:
            source = mounted[0][0]
            yield Flaw("hostpath-psa", field, source, f"{field}挂载主机路径，命名空间须为privileged级别")
            return


def _dangerous(fields: dict[str, list[tuple[str, str]]]) -> Iterator[Flaw]:
    for field, mounted in fields.items():
        for source, _ in mounted:
            if source in _DANGEROUS:
                yield Flaw("hostpath-dangerous", field, source, f"{field}把节点的敏感路径“{source}”交给容器")


def _drivers(mounted: list[tuple[str, str]]) -> Iterator[Flaw]:
    for pair in mounted:
        if any(map(_is_driver, pair)):
            text = f"subPath从节点挂载显卡驱动库“{clip(pair[0])}”，驱动升级后会失效"
            yield Flaw("driver-lib-mount", "subPath", pair[0], text)


def _is_driver(path: str) -> bool:
    return _DRIVER.fullmatch(path, path.rfind("/")) is not None


def _hidden(targets: set[str], said: dict[str, str]) -> Iterator[Flaw]:
    for field, word in said.items():
        if not word.startswith("/"):
            continue
        path = normal(word)
        around = next((target for target in targets if _is_under(path, target)), None)
        if around is not None:
            text = f"{field}“{clip(path)}”位于hostPath的挂载目标“{clip(around)}”之内，镜像自己的文件会被遮住"
            yield Flaw("hostpath-hides-command", field, path, text)


def _is_under(path: str, target: str) -> bool:
    return path == target or path.startswith(target if target == "/" else target + "/")
