"""A cluster's objects as `kubectl get -o json` prints them: rendered objects plus what a cluster adds."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

from algoplatform.manifests.check.verdicts import amount

DIGEST = f"sha256:{'a1' * 32}"
_STAMP = "2026-11-03T08:30:00Z"
_BINARY = ("Gi", "Mi", "Ki")
_CONTAINER = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
_POD = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
_PROBE = {"failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}
_SERVICE = {
    "clusterIP": "10.96.17.4",
    "clusterIPs": ["10.96.17.4"],
    "internalTrafficPolicy": "Cluster",
    "ipFamilies": ["IPv4"],
    "ipFamilyPolicy": "SingleStack",
    "sessionAffinity": "None",
}
_FOREIGN = [
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default"}, "spec": {}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt", "namespace": "algo"}},
    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-etcd-0", "namespace": "etcd"}},
]


def printed(objects: Iterable[dict[str, Any]], foreign: bool = True) -> bytes:
    """Return the List that kubectl prints for these objects."""
    items = [*(_FOREIGN if foreign else ()), *objects]
    text = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
    return json.dumps(text, indent=4, ensure_ascii=False).encode()


def live(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rendered objects as completed by the API server and its controllers, with all replicas ready."""
    return [_live(copy.deepcopy(item)) for item in objects]


def hooked(item: dict[str, Any]) -> dict[str, Any]:
    """Return a live workload as changed by admission webhooks of GPU sharing and service meshes."""
    changed = copy.deepcopy(item)
    changed["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "3"
    changed["metadata"]["labels"]["mesh.example/rev"] = "stable"
    pod = changed["spec"]["template"]["spec"]
    pod |= {"schedulerName": "hami-scheduler", "runtimeClassName": "nvidia", "priorityClassName": "normal"}
    taint = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    pod["tolerations"] = [taint, *pod.get("tolerations", [])]
    main = pod["containers"][0]
    main.setdefault("env", []).insert(0, {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"})
    main.setdefault("volumeMounts", []).append({"name": "mesh", "mountPath": "/etc/mesh"})
    main.setdefault("resources", {}).setdefault("limits", {})["ephemeral-storage"] = "1Gi"
    pod["containers"].insert(0, {"name": "mesh-proxy", "image": "mesh/proxy:1.2"})
    pod.setdefault("volumes", []).insert(0, {"name": "mesh", "emptyDir": {"medium": "Memory"}})
    return changed


def pod(
    workload: dict[str, Any], *, digest: str = DIGEST, waiting: str = "", unschedulable: str = ""
) -> dict[str, Any]:
    """Return a pod of a live workload: running, or not running with a reason."""
    spec = copy.deepcopy(workload["spec"]["template"]["spec"]) | {"nodeName": "gpu-a-1"}
    main = spec["containers"][-1]
    state = {"waiting": {"reason": waiting, "message": "Back-off"}} if waiting else {"running": {"startedAt": _STAMP}}
    repository = main["image"].partition("@")[0].rpartition(":")[0]
    status = {"name": "main", "image": main["image"], "ready": not waiting, "restartCount": 0, "state": state}
    ready: dict[str, Any] = {"phase": "Pending" if waiting or unschedulable else "Running", "conditions": []}
    if unschedulable:
        reason = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unschedulable}
        ready["conditions"] = [reason]
    else:
        ready["containerStatuses"] = [status | {"imageID": "" if waiting else f"{repository}@{digest}"}]
    name = f"{workload['metadata']['name']}-7d4f9c6b5-x2x9k"
    kept = {"name": name, "namespace": workload["metadata"]["namespace"], "uid": "0a1b"}
    labels = workload["spec"]["template"]["metadata"]["labels"] | {"pod-template-hash": "7d4f9c6b5"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": kept | {"labels": labels}, "spec": spec, "status": ready}


def unready(workload: dict[str, Any]) -> dict[str, Any]:
    """Return a live workload without ready replicas."""
    changed = copy.deepcopy(workload)
    reason = {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "…"}
    changed["status"] = {"replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1, "conditions": [reason]}
    return changed


def _live(item: dict[str, Any]) -> dict[str, Any]:
    item["metadata"] |= {
        "creationTimestamp": _STAMP,
        "generation": 1,
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}],
        "resourceVersion": "283237",
        "uid": "40894933-618b-4d47-a270-b02e10435f14",
    }
    if item["kind"] == "Service":
        item["spec"] |= _SERVICE
    elif item["kind"] == "PersistentVolumeClaim":
        item["spec"] = {"storageClassName": "local-path", "volumeMode": "Filesystem"} | item["spec"]
        item["status"] = {"phase": "Bound", "capacity": {"storage": "20Gi"}}
    elif item["kind"] in ("Deployment", "StatefulSet"):
        _complete(item)
    return item


def _complete(item: dict[str, Any]) -> None:
    spec = item["spec"]
    spec["revisionHistoryLimit"] = 10
    spec["template"]["metadata"]["creationTimestamp"] = None
    if item["kind"] == "Deployment":
        spec["progressDeadlineSeconds"] = 600
        if spec["strategy"] == {"type": "RollingUpdate"}:
            spec["strategy"]["rollingUpdate"] = {"maxSurge": "25%", "maxUnavailable": "25%"}
    else:
        spec |= {"podManagementPolicy": "OrderedReady", "updateStrategy": {"type": "RollingUpdate"}}
        for claim in spec["volumeClaimTemplates"]:
            claim["metadata"]["creationTimestamp"] = None
            claim["spec"]["volumeMode"] = "Filesystem"
            claim["status"] = {"phase": "Pending"}
    count = spec["replicas"]
    item["status"] = {"observedGeneration": 1, "replicas": count, "updatedReplicas": count, "readyReplicas": count}
    pod_spec = spec["template"]["spec"]
    for name, value in _POD.items():
        pod_spec.setdefault(name, value)
    if "serviceAccountName" in pod_spec:
        pod_spec["serviceAccount"] = pod_spec["serviceAccountName"]
    for volume in pod_spec.get("volumes", []):
        if "hostPath" in volume:
            volume["hostPath"].setdefault("type", "")
        if "configMap" in volume:
            volume["configMap"]["defaultMode"] = 420
    for container in pod_spec["containers"]:
        container |= _CONTAINER
        container.setdefault("resources", {})
        for amounts in container["resources"].values():
            amounts.update({name: canonical(value) for name, value in amounts.items()})
        for entry in container.get("env", []):
            if entry["value"] == "":
                del entry["value"]
        if "readinessProbe" in container:
            container["readinessProbe"] |= _PROBE


def canonical(quantity: object) -> str:
    """Return a quantity as Kubernetes writes it, with the largest suffix that needs no fraction."""
    text, value = str(quantity), Fraction(amount(quantity) or 0)
    if text.endswith("i"):
        sizes = {suffix: 1024 ** (3 - at) for at, suffix in enumerate(_BINARY)}
    else:
        sizes = {"G": 10**9, "M": 10**6, "k": 10**3, "": 1, "m": Fraction(1, 1000)}
    return next(f"{value / size}{suffix}" for suffix, size in sizes.items() if value and value % size == 0)


WRONG: list[Any] = [None, 7, 1e999, True, "x", "\ud800", [], [7], {}, {"a": {"b": []}}, 10**30, "1" * 5000]


def spoilt(objects: list[dict[str, Any]], wrong: Callable[[int], Any]) -> Iterator[list[dict[str, Any]]]:
    """Yield a copy of the objects for every value in them, with this value replaced: the first by `wrong(0)`."""
    text = json.dumps(objects)
    for at, place in enumerate(_places(objects)):
        copied = json.loads(text)
        parent = copied
        for step in place[:-1]:
            parent = parent[step]
        parent[place[-1]] = wrong(at)
        yield copied


def is_object(item: Any) -> bool:
    """Return whether this has the form of a Kubernetes object."""
    kept = item.get("metadata") if isinstance(item, dict) else None
    return isinstance(kept, dict) and isinstance(kept.get("name"), str) and isinstance(item.get("kind"), str)


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*at, key)
        yield from _places(value[key], (*at, key))
