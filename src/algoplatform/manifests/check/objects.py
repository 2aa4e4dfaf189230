"""Predicts how a Kubernetes API server judges objects that match its schema.

`check` knows the kinds that we render, and Namespace. Each rule was observed on a real API server 1.36.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from algoplatform.manifests.check.pods import pod_verdicts
from algoplatform.manifests.check.verdicts import DNS_LABEL, DNS_NAME, SERVICE_NAME, Verdict, amount

NODE_PORTS: Final = range(30000, 32768)
_MAX_CONFIG: Final = 1024 * 1024
_KEY = re.compile(r"(?!\.\.|\.\Z)[-._a-zA-Z0-9]{1,253}")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
_ENFORCE: Final = "pod-security.kubernetes.io/enforce"

Object = dict[str, Any]


def check(objects: Sequence[Object]) -> list[Verdict]:
    """Return the verdicts about each object, in their order, then those about several objects together."""
    found: list[Verdict] = []
    for item in objects:
        place = f"{item['kind']}/{item['metadata']['name']}"
        found += (Verdict(v.refused, f"{place}{v.path}", v.message) for v in _verdicts(item))
    found += _node_ports(objects)
    found += _pod_security(objects)
    return found


def _verdicts(item: Object) -> Iterator[Verdict]:
    name, form = item["metadata"]["name"], SERVICE_NAME if item["kind"] == "Service" else DNS_NAME
    if not form.fullmatch(name):
        yield Verdict(True, ".metadata.name", f"名称“{name}”不合法")
    yield from _labels(item["metadata"].get("labels", {}), ".metadata.labels")
    if rule := _RULES.get(item["kind"]):
        yield from rule(item)


def _labels(labels: dict[str, str], path: str) -> Iterator[Verdict]:
    for key, value in labels.items():
        if not _LABEL_VALUE.fullmatch(value):
            yield Verdict(True, f"{path}.{key}", f"标签值“{value}”须为至多63个字母、数字、“-”“_”“.”，首尾为字母或数字")


def _workload(item: Object) -> Iterator[Verdict]:
    spec = item["spec"]
    template, selector = spec["template"], spec["selector"]["matchLabels"]
    labels = template["metadata"]["labels"]
    if not selector.items() <= labels.items():
        yield Verdict(True, ".spec.selector", "selector与Pod模板的标签不符")
    yield from _labels(labels, ".spec.template.metadata.labels")
    yield from _strategy(spec.get("strategy", {}))
    claims = spec.get("volumeClaimTemplates", ())
    for position, claim in enumerate(claims):
        yield from _claim(claim, f".spec.volumeClaimTemplates[{position}]")
    names = [claim["metadata"]["name"] for claim in claims]
    yield from pod_verdicts(template["spec"], ".spec.template.spec", names)


def _strategy(strategy: Object) -> Iterator[Verdict]:
    rolling = strategy.get("rollingUpdate")
    if rolling is None:
        return
    if strategy["type"] == "Recreate":
        yield Verdict(True, ".spec.strategy", "Recreate不能带rollingUpdate")
    elif all(rolling.get(name) in (0, "0%") for name in ("maxSurge", "maxUnavailable")):
        yield Verdict(True, ".spec.strategy.rollingUpdate", "maxSurge与maxUnavailable不能都为0")


def _service(item: Object) -> Iterator[Verdict]:
    spec, path = item["spec"], ".spec.ports"
    ports = spec.get("ports", ())
    numbers: set[tuple[int, str]] = set()
    names: set[str] = set()
    for port in ports:
        number = (port["port"], port.get("protocol", "TCP"))
        if number in numbers:
            yield Verdict(True, path, f"端口{number[0]}/{number[1]}重复")
        numbers.add(number)
        name = port.get("name", "")
        if (name and not DNS_LABEL.fullmatch(name)) or name in names or (not name and len(ports) > 1):
            yield Verdict(True, path, f"端口名“{name}”缺失、重复或不是合法的DNS标签")
        names |= {name} - {""}
        if "nodePort" in port and spec.get("type", "ClusterIP") == "ClusterIP":
            yield Verdict(True, path, "ClusterIP类型的Service不能有nodePort")


def _config_map(item: Object) -> Iterator[Verdict]:
    data: dict[str, str] = item.get("data", {})
    for key in data:
        if not _KEY.fullmatch(key):
            yield Verdict(True, ".data", f"键“{key}”只能用字母、数字、“-”“_”“.”，至多253个，且不能以“..”开头")
    if sum(len(text.encode()) for text in data.values()) > _MAX_CONFIG:
        yield Verdict(True, ".data", "内容超过1MiB")


def _claim(item: Object, path: str = "") -> Iterator[Verdict]:
    storage = item["spec"]["resources"]["requests"]["storage"]
    if not amount(storage):
        yield Verdict(True, f"{path}.spec.resources.requests.storage", f"容量须大于0，不能为{storage}")


_RULES: Final[dict[str, Callable[[Object], Iterator[Verdict]]]] = {
    "Deployment": _workload,
    "StatefulSet": _workload,
    "Service": _service,
    "ConfigMap": _config_map,
    "PersistentVolumeClaim": _claim,
}


def _node_ports(objects: Sequence[Object]) -> Iterator[Verdict]:
    users: dict[int, str] = {}
    for item in objects:
        for port in item["spec"].get("ports", ()) if item["kind"] == "Service" else ():
            number = port.get("nodePort")
            if number is None:
                continue
            path = f"Service/{item['metadata']['name']}.spec.ports"
            if number in users:
                yield Verdict(True, path, f"节点端口{number}已由{users[number]}使用")
            users[number] = item["metadata"]["name"]
            if number not in NODE_PORTS:
                yield Verdict(False, path, f"节点端口{number}不在默认范围30000至32767内")


def _pod_security(objects: Sequence[Object]) -> Iterator[Verdict]:
    levels = {
        item["metadata"]["name"]: item["metadata"].get("labels", {}).get(_ENFORCE)
        for item in objects
        if item["kind"] == "Namespace"
    }
    for item in objects if levels else ():
        level = levels.get(item["metadata"].get("namespace", "default"))
        volumes = item.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", ())
        if level in ("baseline", "restricted") and any("hostPath" in volume for volume in volumes):
            path = f"{item['kind']}/{item['metadata']['name']}.spec.template.spec.volumes"
            yield Verdict(False, path, f"命名空间的安全级别{level}不允许hostPath，Pod不会被创建")
