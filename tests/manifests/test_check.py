"""Our own admission check agrees with a Kubernetes API server."""

import json
from typing import Any

import pytest

from algoplatform.manifests.check.objects import check
from tests.support.programs import ROOT
from tests.support.rendering import options, render_all

CASES: list[dict[str, Any]] = json.loads((ROOT / "tests" / "data" / "admission.json").read_text("utf-8"))


def merge(base: Any, change: Any) -> Any:
    """Apply a JSON merge patch: objects are merged, everything else is replaced."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    return {**base, **{key: merge(base.get(key), value) for key, value in change.items()}}


_CLAIM: dict[str, Any] = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
_POD: dict[str, Any] = {
    "containers": [{"name": "main", "image": "x", "volumeMounts": [{"name": "data", "mountPath": "/a"}]}],
    "volumes": [{"name": "data", "emptyDir": {}}],
}
_TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": _POD}
_WORKLOAD = {"selector": {"matchLabels": {"app": "x"}}, "template": _TEMPLATE}
BASE: dict[str, dict[str, Any]] = {
    "Deployment": {"spec": _WORKLOAD},
    "StatefulSet": {
        "spec": {**_WORKLOAD, "template": merge(_TEMPLATE, {"spec": {"volumes": []}}), "volumeClaimTemplates": [_CLAIM]}
    },
    "Service": {"spec": {"type": "ClusterIP", "ports": [{"name": "a", "port": 80}]}},
    "ConfigMap": {"data": {}},
    "PersistentVolumeClaim": {"spec": _CLAIM["spec"]},
}


def objects(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a case: the changed base object of its kind, and its namespace if it names one."""
    kind = case.get("kind", "Deployment")
    made = {"kind": kind, "metadata": {"name": "x", "namespace": "algo", "labels": {}}, **BASE[kind]}
    made = merge(made, case.get("change", {}))
    if "pod" in case:
        made = merge(made, {"spec": {"template": {"spec": case["pod"]}}})
    if "container" in case:
        container = {**_POD["containers"][0], **case["container"]}
        made = merge(made, {"spec": {"template": {"spec": {"containers": [container]}}}})
    if "size" in case:
        made["data"] = {"a": "中" * (case["size"] // 3) + "x" * (case["size"] % 3)}
    labels = {"pod-security.kubernetes.io/enforce": case.get("namespace", "privileged")}
    namespace = {"kind": "Namespace", "metadata": {"name": "algo", "labels": labels}}
    return [namespace, made] if "namespace" in case else [made]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_verdict(case: dict[str, Any]) -> None:
    """A case is accepted, refused, or accepted although it fails later; the last two have a path and a message."""
    found = check(objects(case))
    wanted = {"accepted": [], "refused": [True], "wrong": [False]}[case["verdict"]]
    assert [verdict.refused for verdict in found] == wanted
    assert all(verdict.path.startswith(f"{case.get('kind', 'Deployment')}/") and verdict.message for verdict in found)


def test_node_port_of_two_services() -> None:
    ports = {"type": "NodePort", "ports": [{"name": "a", "port": 80, "nodePort": 30080}]}
    services = [{"kind": "Service", "metadata": {"name": name}, "spec": ports} for name in ("x", "y")]
    [found] = check(services)
    assert (found.refused, found.path, found.message) == (True, "Service/y.spec.ports", "节点端口30080已由x使用")


def test_examples_pass() -> None:
    """The sample registry, rendered with each of these profiles, has no findings."""
    for profile in ("hami", "volcano", "aliyun", "tencent", "metax", "none"):
        assert check(render_all(options(profile=profile, cards="24576")).objects) == []
