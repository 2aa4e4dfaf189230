"""Mounts, configuration files and paths of the node."""

import hashlib
import json
from typing import Any

import pytest

from algoplatform.domain.errors import Refused
from algoplatform.manifests.rendering import Rendered, render
from tests.support.rendering import main_of, only, options, pod_of, reasons, rendered, target

MOUNTS = "/vse/logs,/data/"


def mounts(found: Rendered) -> list[tuple[Any, ...]]:
    """Return name, target, path within the volume, and whether it is read-only, of each mount."""
    return [
        (item["name"], item["mountPath"], item.get("subPath"), item.get("readOnly", False))
        for item in main_of(found).get("volumeMounts", [])
    ]


def volumes(found: Rendered) -> dict[str, Any]:
    """Return each volume's source by the volume's name."""
    return {item["name"]: {**item, "name": None} for item in pod_of(found).get("volumes", [])}


def test_without_a_size() -> None:
    found = rendered(imageMount=MOUNTS)
    assert pod_of(found)["volumes"] == [{"name": "data", "emptyDir": {}}]
    assert mounts(found) == [("data", "/vse/logs", "vse/logs", False), ("data", "/data", "data", False)]
    assert found.assumptions == ["algo/x:1.0：pvcSize为空，挂载目录用emptyDir，容器组删除后数据丢失"]
    assert found.warnings == []


@pytest.mark.parametrize("fields", [{"pvcSize": 5}, {"pvcSize": 0}, {"pvcSize": 0, "imageMount": MOUNTS}])
def test_size_without_use(fields: dict[str, Any]) -> None:
    found = rendered(**fields)
    assert [warning.rule for warning in found.warnings] == ["pvc-unused"]
    assert "PersistentVolumeClaim" not in [item["kind"] for item in found.objects]


def test_one_claim() -> None:
    found = rendered({"storageClass": "fast", "mountStore": "hostPath:/base"}, imageMount=MOUNTS, pvcSize=20)
    claim = only(found, "PersistentVolumeClaim")
    assert claim["metadata"]["name"] == "algo-x-1-0"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "20Gi"}},
    }
    assert pod_of(found)["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "algo-x-1-0"}}]
    assert mounts(found) == [("data", "/vse/logs", "vse/logs", False), ("data", "/data", "data", False)]
    assert (found.warnings, found.assumptions) == ([], [])


def test_claim_per_mount() -> None:
    """A claim is named after its path, so it stays the same when other paths are added or removed."""
    found = rendered({"claims": "per-mount"}, imageMount=MOUNTS, pvcSize=20)
    again = rendered({"claims": "per-mount"}, imageMount="/data", pvcSize=20)
    claims = [item["metadata"]["name"] for item in found.objects if item["kind"] == "PersistentVolumeClaim"]
    assert len(set(claims)) == 2
    assert only(again, "PersistentVolumeClaim")["metadata"]["name"] == claims[1]
    used = [item["persistentVolumeClaim"]["claimName"] for item in pod_of(found)["volumes"]]
    assert used == claims
    assert [(target_, sub_path) for _, target_, sub_path, _ in mounts(found)] == [("/vse/logs", None), ("/data", None)]


def test_host_store() -> None:
    found = rendered({"mountStore": "hostPath:/base/"}, imageMount=MOUNTS)
    assert [item["hostPath"] for item in pod_of(found)["volumes"]] == [
        {"path": "/base/algo/algo-x-1-0/vse/logs", "type": "DirectoryOrCreate"},
        {"path": "/base/algo/algo-x-1-0/data", "type": "DirectoryOrCreate"},
    ]
    assert [read_only for *_, read_only in mounts(found)] == [False, False]


def test_nfs_store() -> None:
    found = rendered({"mountStore": "nfs:10.0.0.1:/e", "namespace": "prod"}, imageMount="/data")
    path = "/e/prod/algo-x-1-0"
    assert pod_of(found)["volumes"] == [{"name": "mount-1", "nfs": {"server": "10.0.0.1", "path": f"{path}/data"}}]
    assert found.assumptions == [f"algo/x:1.0：NFS服务器10.0.0.1上已有目录{path}及其下的各挂载目录"]


@pytest.mark.parametrize(
    ("mode", "replicas", "size", "gpu", "kind", "strategy"),
    [
        (mode, replicas, size, gpu, *expected)
        for mode in ("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany")
        for replicas in (1, 3)
        for size in (None, 20)
        for gpu in (None, 1000)
        for expected in [
            ("StatefulSet", None)
            if size and mode != "ReadWriteMany" and replicas > 1
            else ("Deployment", "Recreate" if size and mode != "ReadWriteMany" else "surge" if not gpu else "in place")
        ]
    ],
)
def test_workload(mode: str, replicas: int, size: int | None, gpu: int | None, kind: str, strategy: str | None) -> None:
    """Two pods never share an exclusive claim, and no new pod waits for a GPU that the old pod still holds."""
    found = rendered(
        {"accessMode": mode, "replicas": replicas}, imageMount="/data", pvcSize=size, gpuRequests=gpu, imagePorts="a:1"
    )
    spec = only(found, kind)["spec"]
    assert spec["replicas"] == replicas
    assert (
        spec.get("strategy")
        == {
            None: None,
            "Recreate": {"type": "Recreate"},
            "surge": {"type": "RollingUpdate"},
            "in place": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        }[strategy]
    )
    templates = spec.get("volumeClaimTemplates", [])
    assert [item["metadata"]["name"] for item in templates] == (["data"] if kind == "StatefulSet" else [])
    assert [warning.rule for warning in found.warnings] == (["pvc-rwo"] if kind == "StatefulSet" else [])
    if kind == "StatefulSet":
        assert spec["serviceName"] == "algo-x-1-0"
        assert "PersistentVolumeClaim" not in [item["kind"] for item in found.objects]
        assert "volumes" not in pod_of(found)


def test_config_without_contents() -> None:
    found = rendered(config="/etc/fdfs/client.conf,/app/a.conf")
    assert pod_of(found)["volumes"] == [{"name": "config", "configMap": {"name": "algo-x-1-0-config"}}]
    assert mounts(found) == [
        ("config", "/etc/fdfs/client.conf", "etc_fdfs_client.conf", True),
        ("config", "/app/a.conf", "app_a.conf", True),
    ]
    assert found.needs == [
        {
            "kind": "ConfigMap",
            "name": "algo-x-1-0-config",
            "namespace": "algo",
            "image": "algo/x:1.0",
            "keys": {"etc_fdfs_client.conf": "/etc/fdfs/client.conf", "app_a.conf": "/app/a.conf"},
        }
    ]
    assert [item["kind"] for item in found.objects] == ["Deployment"]


def test_config_with_contents() -> None:
    """Given contents become an immutable ConfigMap named by their hash; paths without contents stay needed."""
    image = target(config="/etc/fdfs/client.conf,/app/a.conf")
    found = render([image], options(), config_files={"algo/x:1.0": {"/etc//fdfs/client.conf": "端口=1\n"}})
    made = only(found, "ConfigMap")
    data = {"etc_fdfs_client.conf": "端口=1\n"}
    digest = hashlib.sha256(json.dumps(data, ensure_ascii=False).encode()).hexdigest()[:8]
    assert (made["immutable"], made["data"]) == (True, data)
    assert made["metadata"]["name"] == f"algo-x-1-0-config-{digest}"
    assert [item["configMap"]["name"] for item in pod_of(found)["volumes"]] == [
        f"algo-x-1-0-config-{digest}",
        "algo-x-1-0-config",
    ]
    assert [need["keys"] for need in found.needs] == [{"app_a.conf": "/app/a.conf"}]
    whole = render([image], options(), config_files={"algo/x:1.0": {"/etc/fdfs/client.conf": "", "/app/a.conf": ""}})
    assert whole.needs == []


def test_config_omitted() -> None:
    found = rendered({"config": "omit"}, config="/app/a.conf")
    assert (mounts(found), found.needs) == ([], [])


def test_config_over_a_mebibyte() -> None:
    files = {"algo/x:1.0": {"/a": "中" * 349526}}
    with pytest.raises(Refused, match="超过1MiB") as caught:
        render([target(config="/a", hostPath="/b:/a")], options(), config_files=files)
    assert [(fault.field, fault.code, fault.message) for fault in caught.value.faults] == [
        ("hostPath", "-422", "algo/x:1.0：hostPath与config都挂载到“/a”"),
        ("configFiles", "-422", "algo/x:1.0：configFiles的内容超过1MiB"),
    ]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("/usr/lib64/libnvcuvid.so", "File"),
        ("/usr/lib64/libnvidia-encode.so.1", "File"),
        ("/opt/model.onnx", "File"),
        ("/opt/models", None),
        ("/opt/v1.0/models", None),
        ("/opt/a.so/", None),
        ("/opt/.hidden", None),
    ],
)
def test_sub_path(source: str, kind: str | None) -> None:
    found = rendered(subPath=f"{source}:/x")
    [volume] = pod_of(found)["volumes"]
    assert volume["hostPath"].get("type") == kind
    assert mounts(found) == [("lib-1", "/x", None, True)]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("/home", "Directory"),
        ("/etc/localtime", "File"),
        ("/etc/timezone", "File"),
        ("/opt/a.conf", "File"),
        ("/opt/lib.so.1", "File"),
        ("/var/run/docker.sock", None),
        ("/dev", None),
        ("/dev/shm", None),
        ("//dev/./nvidia0", None),
        ("/devices", "Directory"),
        ("/", "Directory"),
    ],
)
def test_host_path(source: str, kind: str | None) -> None:
    found = rendered(hostPath=f"{source}:/x")
    [volume] = pod_of(found)["volumes"]
    assert volume["hostPath"].get("type") == kind
    assert mounts(found) == [("host-1", "/x", None, True)]


def test_time_zone_of_the_node() -> None:
    """The source of /etc/localtime has the type File: with Directory, the pod would never start."""
    found = rendered(hostPath="/usr/share/zoneinfo/Asia/Shanghai:/etc/localtime,/opt/zone:/etc//timezone")
    assert [volume["hostPath"]["type"] for volume in pod_of(found)["volumes"]] == ["File", "File"]


def test_writable_host_path() -> None:
    found = rendered({"hostPathWritable": "true"}, hostPath="/a:/a", subPath="/b:/b")
    assert [(name, read_only) for name, _, _, read_only in mounts(found)] == [("lib-1", True), ("host-1", False)]


def test_localtime() -> None:
    """/etc/localtime is mounted once, even if the record mounts it too."""
    assert mounts(rendered({"localtime": "host"})) == [("localtime", "/etc/localtime", None, True)]
    found = rendered({"localtime": "host"}, hostPath="/etc/localtime:/etc/localtime")
    assert mounts(found) == [("host-1", "/etc/localtime", None, True)]


def test_one_target_twice() -> None:
    """Each clash of targets names both fields, however the path is spelled."""
    image = target(imageMount="/a,/b", config="/b/", subPath="/s:/./a", hostPath="/h://a,/r:/")
    assert reasons(image) == [
        ("config", "-422", "algo/x:1.0：config与imageMount都挂载到“/b”"),
        ("subPath", "-422", "algo/x:1.0：subPath与imageMount都挂载到“/a”"),
        ("hostPath", "-422", "algo/x:1.0：hostPath与imageMount都挂载到“/a”"),
        ("hostPath", "-422", "algo/x:1.0：hostPath不能挂载到“/”"),
    ]
    assert [field for field, *_ in reasons(target(imageMount="/"))] == ["imageMount"]
