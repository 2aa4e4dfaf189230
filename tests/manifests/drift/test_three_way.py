"""The three-way comparison: which field differs, and who changed it."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from algoplatform.manifests.drift.live import OTHERS, plain
from algoplatform.manifests.drift.states import Compared, brief, by_role, compare, state_of
from algoplatform.manifests.drift.three_way import three_way
from tests.support.cluster import WRONG, canonical, hooked, is_object, live, spoilt
from tests.support.rendering import options, render_all, rendered

RICH: dict[str, Any] = {
    "imagePorts": "http:8080:30080,metrics:9090",
    "imageMount": "/vse/logs",
    "cpuRequests": 1500,
    "memRequests": 1536,
    "gpuRequests": 4000,
    "config": "/etc/fdfs/client.conf",
    "hostPath": "/run/x.sock:/run/x.sock,/data:/data",
    "env": "MODEL:yolov8,EMPTY:",
    "args": "--batch 4",
}
OPTIONS = {"readiness": "tcp", "tolerations": "gpu=t4:NoSchedule", "nodeSelector": "env=a,type=b", "pullSecrets": "s"}
ABSENT = object()


def compared(base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Compared]:
    """Compare lists of objects."""
    return compare(by_role(base, OTHERS), by_role(ours, OTHERS), by_role(theirs, OTHERS))


@pytest.mark.parametrize("given", [{}, OPTIONS, {"replicas": "3"}, {"profile": "volcano", "limits": "memory"}])
def test_a_cluster_adds_no_drift(given: dict[str, str]) -> None:
    """Defaults of the API server, canonical quantities and additions of webhooks are not reported as differences."""
    for objects in (rendered(given, **RICH, pvcSize=20).objects, render_all(options(**given)).objects):
        for item in objects:
            [running] = live([item])
            assert compared([item], [item], [running]) == []
            if "template" in item["spec"] and "profile" not in given:
                assert compared([item], [item], [hooked(running)]) == []


Sides = tuple[Any, Any, Any]
# Values of one field in base, ours and theirs, and the expected change.
FIELDS: list[tuple[str, Sides, str | None]] = [
    ("image", ("a:1", "a:1", "a:1"), None),
    ("image", ("a:1", "a:2", "a:1"), "outdated"),
    ("image", ("a:1", "a:1", "a:2"), "modified"),
    ("image", ("a:1", "a:2", "a:3"), "both"),
    ("image", ("a:1", "a:2", "a:2"), None),
    ("image", ("a:1", "a:2", ABSENT), "both"),
    ("args", (["a", "b"], ["a", "b"], ["b", "a"]), "modified"),
    ("args", (ABSENT, ["a"], ABSENT), "outdated"),
    ("args", (["a"], ABSENT, ["a"]), "outdated"),
    ("args", (["a"], ABSENT, ABSENT), None),
    ("args", (["a"], ABSENT, ["b"]), "both"),
    ("value", ("", "", ABSENT), None),
    ("value", ("a", "a", ABSENT), "modified"),
    ("kind", ("a", "a", ABSENT), None),
    ("replicas", (1, 1, True), "modified"),
    ("replicas", (1, 1, "1"), "modified"),
    ("automountServiceAccountToken", (False, False, ABSENT), "modified"),
    # Defaults and webhooks set these fields if the record does not.
    ("schedulerName", (ABSENT, ABSENT, "hami-scheduler"), None),
    ("schedulerName", (ABSENT, "volcano", "default-scheduler"), "outdated"),
    ("schedulerName", ("volcano", ABSENT, "volcano"), "outdated"),
    ("schedulerName", ("volcano", ABSENT, "default-scheduler"), None),
    ("schedulerName", ("volcano", "volcano", "default-scheduler"), "modified"),
    ("emptyDir", ({}, {}, {}), None),
    ("emptyDir", ({}, {}, ABSENT), "modified"),
    ("emptyDir", ({}, ABSENT, {}), "outdated"),
    ("nodeSelector", ({"env": "a", "ports": "b"}, {"env": "a", "ports": "b"}, {"env": "b", "ports": "b"}), "modified"),
    ("limits", ({"x/y": 1000}, {"x/y": 1000}, {"x/y": "1k"}), None),
    ("limits", ({"cpu": "1000m"}, {"cpu": "1000m"}, {"cpu": "1"}), None),
    ("limits", ({"memory": "1024Mi"}, {"memory": "1024Mi"}, {"memory": "1Gi"}), None),
    ("limits", ({"memory": "1024Mi"}, {"memory": "1024Mi"}, {"memory": "1G"}), "modified"),
    ("limits", ({"env": "1"}, {"env": "1"}, {"env": [1]}), "modified"),
    # More digits than `Decimal` accepts.
    ("limits", ({"cpu": "1"}, {"cpu": "1"}, {"cpu": "9" * 2_000_000}), "modified"),
    # A LimitRange sets these.
    ("requests", (ABSENT, {"cpu": "500m"}, {"cpu": "100m"}), "outdated"),
    ("requests", ({"memory": "1Gi"}, {"memory": "1Gi", "cpu": "500m"}, {"memory": "1Gi", "cpu": "100m"}), "outdated"),
    ("requests", ({"cpu": "2"}, ABSENT, {"cpu": "3"}), "both"),
    ("tolerations", ([{"key": "a"}], [{"key": "a"}], [{"key": "b"}, {"key": "a"}]), None),
    ("imagePullSecrets", (ABSENT, [{"name": "a"}], [{"name": "b"}]), "outdated"),
    ("imagePullSecrets", ([{"name": "a"}], ABSENT, [{"name": "a"}]), "outdated"),
    ("env", ([{"name": "A", "value": "1"}], [{"name": "A", "value": "1"}], [{"name": "B", "value": "1"}]), "modified"),
]


@pytest.mark.parametrize(("field", "sides", "change"), FIELDS)
def test_fields(field: str, sides: Sides, change: str | None) -> None:
    """A changed field is one difference that says who changed it."""
    base, ours, theirs = ({} if side is ABSENT else {field: side} for side in sides)
    assert [each.change for each in three_way(base, ours, theirs)] == ([change] if change else [])


def test_lists_are_compared_by_key() -> None:
    """The order of items does not matter; a removed item is one difference, with its path."""
    objects = rendered(OPTIONS, **RICH).objects
    running = live(objects)
    pod = running[-1]["spec"]["template"]["spec"]
    for items in (pod["volumes"], pod["containers"][0]["env"], pod["containers"][0]["volumeMounts"]):
        items.reverse()
    running[0]["spec"]["ports"].reverse()
    assert compared(objects, objects, running) == []
    pod["containers"][0]["volumeMounts"] = [
        each for each in pod["containers"][0]["volumeMounts"] if each["mountPath"] != "/data"
    ]
    del running[0]["spec"]["ports"][0]["targetPort"]
    found = {each.path: each for one in compared(objects, objects, running) for each in one.differences}
    mount = "spec.template.spec.containers[main].volumeMounts[/data]"
    assert list(found) == ["spec.ports[9090/TCP].targetPort", mount]
    assert (found[mount].base, found[mount].theirs) == (
        {"name": "host-2", "mountPath": "/data", "readOnly": True},
        None,
    )


def test_kinds_and_objects() -> None:
    """A Deployment that becomes a StatefulSet is the same workload; missing objects are one difference each."""
    base = rendered(**RICH, pvcSize=20).objects
    ours = rendered({"replicas": "2"}, **RICH, pvcSize=20).objects
    found = compared(base, ours, live(base))
    changes = {(one.kind, each.path): each.change for one in found for each in one.differences}
    assert set(changes.values()) == {"outdated"}
    assert changes["PersistentVolumeClaim", "metadata.name"] == "outdated"
    assert ("Deployment", "kind") in changes
    [service] = compared(base[:2], base[:2], live(base[:1]))
    assert [(each.path, each.theirs) for each in service.differences] == [("metadata.name", None)]


def test_states() -> None:
    """If all differences have the same change, it is the state; otherwise the state is `both`."""
    states = {
        (): "in-sync",
        ("outdated",) * 2: "outdated",
        ("modified", "outdated"): "both",
        ("both", "modified"): "both",
    }
    assert {changes: state_of(changes) for changes in states} == states


def test_any_value_anywhere() -> None:
    """With any value replaced by any other, comparing succeeds, and the differences can be serialized."""
    objects = rendered(OPTIONS, **RICH, pvcSize=20).objects
    running = live(objects)
    for wrong in WRONG:
        for copied in spoilt(running, lambda _, wrong=wrong: wrong):  # type: ignore[misc]  # bound now
            found = compared(objects, objects, list(map(plain, filter(is_object, copied))))
            for difference in (each for one in found for each in one.differences):
                assert difference.change == "modified"
                orjson.dumps(brief(difference.theirs))


def test_brief() -> None:
    """Values that are too long or too deep are truncated."""
    deep: Any = "x"
    for _ in range(900):
        deep = [{"a": deep}]
    orjson.dumps(brief(deep))
    orjson.dumps(plain(deep))
    orjson.dumps(brief({str(at): "y" * 5000 for at in range(100)}))
    assert brief({"a": [1, True, None, "b"]}) == {"a": [1, True, None, "b"]}


CANONICAL: Mapping[object, str] = {
    4000: "4k",
    "1000m": "1",
    "1500m": "1500m",
    "1024Mi": "1Gi",
    "1536Mi": "1536Mi",
    "20Gi": "20Gi",
}


def test_canonical_quantities() -> None:
    """The simulated cluster of the tests writes quantities like Kubernetes."""
    assert {given: canonical(given) for given in CANONICAL} == CANONICAL
