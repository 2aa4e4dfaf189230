"""Verdicts about the pods of a workload: ports, environment, resources, mounts and volumes."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from algoplatform.domain.grammar.paths import canonical
from algoplatform.manifests.check.verdicts import DNS_LABEL, Verdict, amount

_PORT_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
# These resources take plain integers, in their own unit; a suffix, or 0, does not mean what was intended.
_PLAIN: Final = frozenset(["nvidia.com/gpumem", "volcano.sh/vgpu-memory"])


def pod_verdicts(spec: dict[str, Any], path: str, claims: Iterable[str] = ()) -> Iterator[Verdict]:
    """Yield the verdicts about a pod's spec; `claims` names the volumes of claim templates."""
    names = [volume["name"] for volume in spec.get("volumes", ())]
    for position, volume in enumerate(spec.get("volumes", ())):
        yield from _volume(volume, f"{path}.volumes[{position}]")
    for name in sorted(_repeated(names)):
        yield Verdict(True, f"{path}.volumes", f"卷名{name}重复")
    for position, container in enumerate(spec.get("containers", ())):
        place = f"{path}.containers[{position}]"
        yield from _ports(container.get("ports", ()), f"{place}.ports")
        yield from _env(container.get("env", ()), f"{place}.env")
        yield from _resources(container.get("resources", {}), f"{place}.resources")
        yield from _mounts(container.get("volumeMounts", ()), {*names, *claims}, f"{place}.volumeMounts")


def _repeated(items: Iterable[Any]) -> set[Any]:
    seen: set[Any] = set()
    return {item for item in items if item in seen or seen.add(item)}  # type: ignore[func-returns-value]  # add is for its effect


def _volume(volume: dict[str, Any], path: str) -> Iterator[Verdict]:
    if not DNS_LABEL.fullmatch(volume["name"]):
        yield Verdict(True, f"{path}.name", f"卷名“{volume['name']}”不是合法的DNS标签")
    if ".." in volume.get("hostPath", {}).get("path", "").split("/"):
        yield Verdict(True, f"{path}.hostPath.path", "主机路径不能含有“..”")


def _ports(ports: Iterable[dict[str, Any]], path: str) -> Iterator[Verdict]:
    for port in ports:
        name = port.get("name")
        if name is not None and not _PORT_NAME.fullmatch(name):
            yield Verdict(True, path, f"端口名“{name}”须为1至15个小写字母、数字或“-”，至少有一个字母，且不能有“--”")
    for name in sorted(_repeated(port["name"] for port in ports if "name" in port)):
        yield Verdict(True, path, f"端口名{name}重复")
    numbers = ((port["containerPort"], port.get("protocol", "TCP")) for port in ports)
    for number, protocol in sorted(_repeated(numbers)):
        yield Verdict(False, path, f"容器端口{number}/{protocol}重复")


def _env(variables: Iterable[dict[str, Any]], path: str) -> Iterator[Verdict]:
    for name in sorted(_repeated(variable["name"] for variable in variables)):
        yield Verdict(False, path, f"环境变量{name}重复，只有最后一个有效")


def _resources(resources: dict[str, Any], path: str) -> Iterator[Verdict]:
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    for name in {**requests, **limits}:
        asked, limit = requests.get(name), limits.get(name)
        given = [quantity for quantity in (asked, limit) if quantity is not None]
        values = [value for value in map(amount, given) if value is not None]
        if len(values) < len(given):
            yield Verdict(True, f"{path}.{name}", f"{name}的数量写法有误")
        elif "/" in name:
            yield from _extended(name, asked, limit, f"{path}.{name}")
        elif len(values) == 2 and values[1] < values[0]:
            yield Verdict(True, f"{path}.limits.{name}", f"{name}的上限小于请求")
        if name == "memory":
            yield from _memory([asked, limit], f"{path}.{name}")


def _extended(name: str, asked: object, limit: object, path: str) -> Iterator[Verdict]:
    if limit is None:
        yield Verdict(True, path, f"{name}须写在limits中")
    elif asked is not None and amount(asked) != amount(limit):
        yield Verdict(True, path, f"{name}的请求与上限须相等")
    for quantity in {str(quantity) for quantity in (asked, limit) if quantity is not None}:
        value = amount(quantity)
        if value is not None and value % 1:
            yield Verdict(True, path, f"{name}须为整数，不能为{quantity}")
        elif name in _PLAIN and (not quantity.isdigit() or not value):
            yield Verdict(False, path, f"{name}须为不带单位的正整数，不能为{quantity}")


def _memory(quantities: Iterable[object], path: str) -> Iterator[Verdict]:
    for quantity in dict.fromkeys(map(str, filter(None, quantities))):
        if quantity.isdigit() or quantity.endswith("m"):
            yield Verdict(False, path, f"内存{quantity}的单位是字节或千分之一字节，须写明单位，如1000Mi")


def _mounts(mounts: Iterable[dict[str, Any]], volumes: set[str], path: str) -> Iterator[Verdict]:
    targets = [mount["mountPath"] for mount in mounts]
    exact = _repeated(targets)
    for target in sorted(exact):
        yield Verdict(True, path, f"挂载点{target}重复")
    for target in sorted(_repeated(canonical(target) for target in dict.fromkeys(targets))):
        yield Verdict(False, path, f"挂载点{target}以不同写法重复")
    for position, mount in enumerate(mounts):
        place = f"{path}[{position}]"
        if mount["name"] not in volumes:
            yield Verdict(True, place, f"没有卷{mount['name']}")
        yield from _target(mount["mountPath"], place)
        yield from _sub_path(mount.get("subPath", ""), place)


def _target(target: str, path: str) -> Iterator[Verdict]:
    if not target.startswith("/"):
        yield Verdict(False, f"{path}.mountPath", f"挂载点“{target}”须为绝对路径")
    elif canonical(target) == "/":
        yield Verdict(False, f"{path}.mountPath", "不能挂载到“/”")


def _sub_path(sub_path: str, path: str) -> Iterator[Verdict]:
    if sub_path.startswith("/"):
        yield Verdict(True, f"{path}.subPath", "subPath不能以“/”开头")
    if ".." in sub_path.split("/"):
        yield Verdict(True, f"{path}.subPath", "subPath不能含有“..”")
