"""Drift over HTTP: a cluster's objects compared with the registry, both kinds of body, slots, hostile bodies."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.support.cluster import DIGEST, WRONG, hooked, is_object, live, pod, printed, spoilt, unready
from tests.support.images import IMAGES, delete, register

DRIFT = f"{IMAGES}/_drift"
JSON = {"content-type": "application/json"}
FIELDS: dict[str, Any] = {
    "imagePorts": "http:8080:30080,metrics:9090",
    "imageMount": "/vse/logs",
    "pvcSize": 20,
    "cpuRequests": 2000,
    "memRequests": 4096,
    "gpuRequests": 4000,
    "hostPath": "/etc/localtime:/etc/localtime,/dev/video0:/dev/video0",
    "env": "MODEL:yolov8,EMPTY:",
    "args": "--batch 4",
}


async def deployed(client: httpx.AsyncClient, image_id: str, **options: Any) -> list[dict[str, Any]]:
    """Return the objects of an image as a cluster would return them."""
    answer = await client.get(f"{IMAGES}/{image_id}/manifests", params=options)
    assert answer.status_code == 200, answer.text
    return live(answer.json()["res"]["manifests"])


async def drift(client: httpx.AsyncClient, objects: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """Return the result for a cluster that runs these objects."""
    answer = await client.post(DRIFT, content=printed(objects), headers=JSON, params=options)
    assert (answer.status_code, answer.json()["status"], answer.json()["msg"]) == (200, "0", "对比完成"), answer.text
    found: dict[str, Any] = answer.json()["res"]
    return found


async def only(client: httpx.AsyncClient, objects: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """Return the only image of the result."""
    found = await drift(client, objects, **options)
    [entry] = found["images"]
    assert found["counts"] == {entry["state"]: 1}
    return dict(entry)


def paths(entry: dict[str, Any]) -> list[tuple[str, str]]:
    """Return path and state of each difference."""
    return [(each["path"], each["state"]) for item in entry["objects"] for each in item["differences"]]


def env_of(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the variables of the only workload."""
    found: list[dict[str, Any]] = objects[-1]["spec"]["template"]["spec"]["containers"][-1]["env"]
    return found


async def update(client: httpx.AsyncClient, image_id: str, **fields: Any) -> None:
    """Update the image `algo/a:1.0`."""
    record = (await client.get(f"{IMAGES}/{image_id}")).json()["res"]
    answer = await client.post(f"{IMAGES}/_update", json=record | fields)
    assert answer.status_code == 200, answer.text


MODEL = "spec.template.spec.containers[main].env[MODEL].value"


async def test_in_sync(client: httpx.AsyncClient) -> None:
    """Canonical quantities, server defaults, webhooks and foreign objects are no drift."""
    image_id = await register(client, **FIELDS)
    objects = await deployed(client, image_id, readiness="tcp")
    objects[-1] = hooked(objects[-1])
    assert objects[-1]["spec"]["template"]["spec"]["containers"][-1]["resources"]["limits"]["nvidia.com/gpumem"] == "4k"
    found = await drift(client, [*objects, pod(objects[-1])], readiness="tcp")
    [entry] = found["images"]
    assert entry == {
        "imageId": image_id,
        "reference": "algo/a:1.0",
        "state": "in-sync",
        "namespace": "algo",
        "kind": "Deployment",
        "name": "algo-a-1-0",
        "recordVersion": 1,
        "currentVersion": 1,
        "replicas": {"wanted": 1, "ready": 1},
        "reasons": [],
        "digest": None,
        "objects": [],
        "unlisted": 0,
    }
    assert (found["counts"], found["total"], found["unlisted"]) == ({"in-sync": 1}, 1, 0)
    assert found["assumptions"] == [
        "没有给出replicas或channels，没有比较副本数",
        "没有给出namespace，以集群中的命名空间为准",
    ]


async def test_one_edited_variable(client: httpx.AsyncClient) -> None:
    """One edit in the cluster is one difference, with its path and the values of all three sides."""
    objects = await deployed(client, await register(client, **FIELDS))
    env_of(objects)[0]["value"] = "yolov9"
    entry = await only(client, objects)
    assert entry["state"] == "modified"
    assert entry["objects"] == [
        {
            "kind": "Deployment",
            "name": "algo-a-1-0",
            "state": "modified",
            "differences": [
                {"path": MODEL, "base": "yolov8", "ours": "yolov8", "theirs": "yolov9", "state": "modified"}
            ],
        }
    ]


async def test_the_record_went_on(client: httpx.AsyncClient) -> None:
    """An update of the record makes the cluster outdated; if the cluster was edited as well, the state is both."""
    image_id = await register(client, **FIELDS)
    objects = await deployed(client, image_id)
    await update(client, image_id, env="MODEL:yolov10,EMPTY:", imagePorts="http:8080:30080", gpuRequests=None)
    entry = await only(client, objects)
    assert (entry["state"], entry["recordVersion"], entry["currentVersion"]) == ("outdated", 1, 2)
    limits = "spec.template.spec.containers[main].resources.limits"
    assert sorted(paths(entry)) == sorted(
        (path, "outdated")
        for path in (
            "spec.ports[9090/TCP]",
            MODEL,
            "spec.template.spec.containers[main].ports[9090/TCP]",
            f"{limits}[nvidia.com/gpu]",
            f"{limits}[nvidia.com/gpumem]",
        )
    )
    objects[-1]["spec"]["template"]["spec"]["containers"][0]["workingDir"] = "/tmp"
    assert (await only(client, objects))["state"] == "outdated", "a field that nobody renders"
    objects[-1]["spec"]["template"]["spec"]["containers"][0]["args"] = ["--batch", "8"]
    entry = await only(client, objects)
    assert entry["state"] == "both"
    assert ("spec.template.spec.containers[main].args", "modified") in paths(entry)
    env_of(objects)[0]["value"] = "yolov9"
    assert (MODEL, "both") in paths(await only(client, objects))
    # A value that was already applied by hand is no longer outdated.
    env_of(objects)[0]["value"] = "yolov10"
    assert MODEL not in dict(paths(await only(client, objects)))


async def test_deleted_image(client: httpx.AsyncClient) -> None:
    """A workload whose image was deleted is an orphan with all its objects; so are objects without a workload."""
    image_id = await register(client, **FIELDS)
    objects = await deployed(client, image_id)
    assert (await delete(client, image_id)).status_code == 200
    entry = await only(client, objects)
    assert (entry["state"], entry["imageId"], entry["currentVersion"]) == ("orphan", image_id, None)
    kinds = ["Deployment", "PersistentVolumeClaim", "Service", "Service"]
    assert sorted(item["kind"] for item in entry["objects"]) == kinds
    assert {item["state"] for item in entry["objects"]} == {"orphan"}
    entry = await only(client, objects[:-1])
    assert (entry["state"], entry["imageId"], entry["kind"], entry["name"]) == ("orphan", None, None, "algo-a-1-0")
    assert sorted(item["kind"] for item in entry["objects"]) == kinds[1:]


async def test_missing_objects(client: httpx.AsyncClient) -> None:
    """A rendered object that the cluster lacks is one difference; an object of an older version is an orphan."""
    image_id = await register(client, **FIELDS)
    objects = await deployed(client, image_id)
    services = [item for item in objects if item["kind"] == "Service"]
    entry = await only(client, [item for item in objects if item is not services[1]])
    assert entry["objects"][0]["differences"] == [
        {
            "path": "metadata.name",
            "base": "algo-a-1-0-nodeport",
            "ours": "algo-a-1-0-nodeport",
            "theirs": None,
            "state": "modified",
        }
    ]
    old = json.loads(json.dumps(services[0]).replace('algo-a-1-0", "namespace', 'algo-a-1-0-old", "namespace'))
    entry = await only(client, [old, *objects])
    assert (entry["state"], [(item["name"], item["state"]) for item in entry["objects"]]) == (
        "in-sync",
        [("algo-a-1-0-old", "orphan")],
    )
    answer = await client.post(DRIFT, content=printed(objects[-1:], foreign=False), headers=JSON)
    assert answer.json()["res"]["counts"] == {"in-sync": 1}
    assert "内容中没有Service、PersistentVolumeClaim、ConfigMap，没有比较" in answer.json()["res"]["assumptions"]


async def test_not_ready(client: httpx.AsyncClient) -> None:
    """A workload that matches its record but is not ready is reported with the cluster's reasons."""
    objects = await deployed(client, await register(client, **FIELDS))
    objects[-1] = unready(objects[-1])
    reasons = {
        "ImagePullBackOff": pod(objects[-1], waiting="ImagePullBackOff"),
        "0/3 nodes are available: 3 Insufficient nvidia.com/gpumem.": pod(
            objects[-1], unschedulable="0/3 nodes are available: 3 Insufficient nvidia.com/gpumem."
        ),
    }
    for reason, its in reasons.items():
        entry = await only(client, [*objects, its])
        assert (entry["state"], entry["reasons"]) == ("not-ready", [reason])
    entry = await only(client, objects)
    assert (entry["state"], entry["reasons"]) == ("not-ready", ["MinimumReplicasUnavailable"])
    assert entry["replicas"] == {"wanted": 1, "ready": 0}


async def test_paused_rollout(client: httpx.AsyncClient) -> None:
    """Ready replicas of an older template do not count, although Go omits `updatedReplicas` if it is zero."""
    objects = await deployed(client, await register(client, **FIELDS))
    available = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
    paused = {
        "type": "Progressing",
        "status": "Unknown",
        "reason": "DeploymentPaused",
        "message": "Deployment is paused",
    }
    objects[-1]["status"] = {"replicas": 1, "readyReplicas": 1, "conditions": [available, paused]}
    entry = await only(client, objects)
    assert (entry["state"], entry["reasons"]) == ("not-ready", ["DeploymentPaused"])
    assert entry["replicas"] == {"wanted": 1, "ready": 0}


async def test_failing_readiness(client: httpx.AsyncClient) -> None:
    """If running containers fail their readiness probe, the reason is taken from the pod, also for a StatefulSet."""
    image_id = await register(client, **FIELDS)
    [*others, workload] = await deployed(client, image_id, replicas=2)
    assert workload["kind"] == "StatefulSet"
    its = pod(workload)
    message = "containers with unready status: [main]"
    its["status"]["conditions"] = [
        {"type": kind, "status": "False", "reason": "ContainersNotReady", "message": message}
        for kind in ("Ready", "ContainersReady")
    ]
    workload["status"] |= {"readyReplicas": 0, "conditions": []}
    entry = await only(client, [*others, workload, its])
    assert (entry["state"], entry["reasons"], entry["replicas"]) == ("not-ready", [message], {"wanted": 2, "ready": 0})


async def test_moved_image(client: httpx.AsyncClient) -> None:
    """Pods that run another digest than the pinned one are image-moved."""
    objects = await deployed(client, await register(client, **FIELDS))
    objects[-1]["spec"]["template"]["spec"]["containers"][0]["image"] = f"algo/a@{DIGEST}"
    entry = await only(client, [*objects, pod(objects[-1])], pin="true")
    assert (entry["state"], entry["digest"]) == ("in-sync", {"expected": DIGEST, "running": [DIGEST]})
    assumptions = (await drift(client, objects, pin="true"))["assumptions"]
    assert assumptions[-1] == "1个工作负载的镜像没有校验过，摘要以集群中的为准"
    other = f"sha256:{'0' * 64}"
    entry = await only(client, [*objects, pod(objects[-1], digest=other)], pin="true")
    assert (entry["state"], entry["digest"]) == ("image-moved", {"expected": DIGEST, "running": [other]})
    entry = await only(client, objects)
    assert paths(entry) == [("spec.template.spec.containers[main].image", "modified")]


# Options of rendering, and the state if the comparison is done without them.
OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"naming": "image", "namespace": "prod"}, "in-sync"),
    ({"registry": "h.local"}, "modified"),
    ({"replicas": 3}, "in-sync"),
    ({"channels": 40, "accessMode": "ReadWriteMany"}, "modified"),
    ({"nodeSelector": "env=gpu,type=t4", "tolerations": "gpu=t4:NoSchedule,spot", "pullSecrets": "a,b"}, "in-sync"),
    ({"profile": "volcano", "limits": "memory", "storageClass": "fast", "serviceAccount": "x"}, "modified"),
    ({"claims": "per-mount"}, "modified"),
    ({"localtime": "host", "closure": "true"}, "in-sync"),
]


async def test_options(client: httpx.AsyncClient) -> None:
    """Compared with the options that rendered it, the cluster is in sync; without them some differences show."""
    image_id = await register(client, **FIELDS, tvChannel=16)
    for options, otherwise in OPTIONS:
        objects = await deployed(client, image_id, **options)
        entry = await only(client, objects, **options)
        assert (entry["state"], entry["objects"]) == ("in-sync", []), options
        entry = await only(client, objects)
        assert entry["state"] == otherwise, entry


async def test_replicas(client: httpx.AsyncClient) -> None:
    """Replicas are compared only if `replicas` or `channels` is given, as otherwise the operator chooses them."""
    objects = await deployed(client, await register(client, **FIELDS), replicas=3)
    objects[-1]["spec"]["replicas"] = 2
    assert paths(await only(client, objects, replicas=3)) == [("spec.replicas", "modified")]
    assert (await only(client, objects))["state"] == "in-sync"


async def test_given_files(client: httpx.AsyncClient) -> None:
    """Contents of configuration files are taken from the cluster, as records contain only the paths."""
    image_id = await register(client, config="/etc/a.conf,/etc/b.conf")
    body = {"images": [image_id], "configFiles": {"algo/a:1.0": {"/etc/a.conf": "x=1\n"}}}
    rendered = (await client.post(f"{IMAGES}/_render", json=body)).json()["res"]["manifests"]
    assert [item["kind"] for item in rendered] == ["ConfigMap", "Deployment"]
    assert (await only(client, live(rendered)))["state"] == "in-sync"
    await update(client, image_id, config="/etc/b.conf")
    entry = await only(client, live(rendered))
    assert entry["state"] == "outdated"
    assert ("metadata.name", "outdated") in paths(entry)


async def test_given_files_that_are_not_shown(client: httpx.AsyncClient) -> None:
    """Without any ConfigMap in the output none is compared; otherwise a missing one is one difference."""
    image_id = await register(client, config="/etc/a.conf,/etc/b.conf")
    body = {"images": [image_id], "configFiles": {"algo/a:1.0": {"/etc/a.conf": "x=1\n"}}}
    [config_map, workload] = live((await client.post(f"{IMAGES}/_render", json=body)).json()["res"]["manifests"])
    answer = await client.post(DRIFT, content=printed([workload], foreign=False), headers=JSON)
    assert answer.json()["res"]["counts"] == {"in-sync": 1}, answer.text
    entry = await only(client, [workload])
    assert [(item["kind"], item["name"]) for item in entry["objects"]] == [
        ("ConfigMap", config_map["metadata"]["name"])
    ]
    assert paths(entry) == [("metadata.name", "modified")]
    await update(client, image_id, config="/etc/b.conf")
    assert (await only(client, [workload]))["state"] == "outdated"


@pytest.mark.parametrize("label", ["app.kubernetes.io/instance", "app.kubernetes.io/managed-by"])
async def test_edited_labels(client: httpx.AsyncClient, label: str) -> None:
    """A changed label is one difference each, even if it is one by which objects are found."""
    image_id = await register(client, **FIELDS)
    objects = await deployed(client, image_id)
    objects[-1]["metadata"]["labels"][label] = "other"
    assert paths(await only(client, objects)) == [(f"metadata.labels[{label}]", "modified")]
    for item in objects:
        item["metadata"]["labels"]["app.kubernetes.io/instance"] = "other"
    entry = await only(client, objects)
    assert ("metadata.labels[app.kubernetes.io/instance]", "modified") in paths(entry)
    assert {item["state"] for item in entry["objects"]} == {"modified"}
    assert "metadata.name" not in dict(paths(entry))


async def test_one_label_on_everything(client: httpx.AsyncClient) -> None:
    """Objects with the same instance label are listed for one workload only, up to a limit; the rest is counted."""
    [workload] = await deployed(client, await register(client))
    services = [
        {"kind": "Service", "metadata": workload["metadata"] | {"name": f"s-{number}", "annotations": {}}, "spec": {}}
        for number in range(150)
    ]
    found = await drift(client, [*[workload] * 3, *services])
    assert [(len(entry["objects"]), entry["unlisted"]) for entry in found["images"]] == [(100, 50), (0, 0), (0, 0)]
    assert found["unlisted"] == 50


async def test_other_versions(client: httpx.AsyncClient) -> None:
    """An unknown record version is compared with the current record; another renderer's version is noted."""
    objects = await deployed(client, await register(client, **FIELDS))
    objects[-1]["metadata"]["annotations"] |= {"algoplatform/record-version": "7", "algoplatform/renderer": "0"}
    found = await drift(client, objects)
    assert found["counts"] == {"in-sync": 1}
    assert found["assumptions"][-2:] == [
        "1个工作负载由另一版本的规则生成，按现在的规则重新生成后比较",
        "1个工作负载所记的记录版本不存在，只与现行记录比较",
    ]


async def test_record_that_cannot_be_rendered(client: httpx.AsyncClient) -> None:
    """If the updated record cannot be rendered, as no card is large enough, it is outdated with that reason."""
    image_id = await register(client, **FIELDS)
    objects = await deployed(client, image_id)
    await update(client, image_id, gpuRequests=40000)
    entry = await only(client, objects, cards="15109")
    assert (entry["state"], entry["objects"]) == ("outdated", [])
    [reason] = entry["reasons"]
    assert "超过最大的GPU卡" in reason
    # With these options neither version of the record can be rendered.
    assert (await only(client, objects, cards="100"))["state"] == "outdated"


async def test_forms_of_the_body(client: httpx.AsyncClient) -> None:
    """A form with a file gives the same result as a JSON body; a single object is accepted, too."""
    objects = await deployed(client, await register(client))
    plain = await client.post(DRIFT, content=printed(objects), headers=JSON)
    form = await client.post(DRIFT, files={"file": ("cluster.json", printed(objects))})
    assert form.json() == plain.json()
    single = await client.post(DRIFT, json=objects[-1])
    assert single.json()["res"]["counts"] == {"in-sync": 1}
    assert (await client.post(DRIFT, content=b"kind: List", headers={"content-type": "text/yaml"})).status_code == 415


DEEP = b"[" * 100_000
LIST = b'{"kind":"List","items":['
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "内容为空"),
    "kubectl": (b'error: the server doesn\'t have a resource type "sts"', "须为kubectl get"),
    "html": (b"<html>", "须为kubectl get"),
    "a list": (b"[]", "须为kubectl get"),
    "cut": (LIST + b'{"kind":"Pod"', "JSON格式错误"),
    "trailing": (b'{"items":[]} x', "JSON格式错误"),
    "twice": (b'{"items":[],"items":[]}', "字段“items”重复"),
    "NaN": (LIST + b'{"kind":"Pod","metadata":{"name":NaN}}]}', "不能使用NaN"),
    "deep": (LIST + DEEP, "嵌套过深"),
    "deep single": (b'{"kind":' + DEEP, "嵌套过深"),
    "numbers": (LIST + b"1]}", "items的第1项须为"),
    "no name": (LIST + b'{"kind":"Pod","metadata":{}}]}', "items的第1项须为"),
    "kind": (LIST + b'{"kind":7,"metadata":{"name":"x"}}]}', "items的第1项须为"),
    "items": (b'{"items":{}}', "items须为列表"),
    "status": (b'{"kind":"Status","status":"Failure","message":"Unauthorized","code":401}', "内容须为有kind"),
    "members": (b"{" + b",".join(b'"%d":1' % at for at in range(1_000_000)) + b"}", "字段超过32个"),
    "keys": (LIST + b"{" + b",".join(b'"%d":1' % at for at in range(1_000_000)) + b"}]}", "单个对象超过上限"),
    "latin": (LIST + b'"\xe9"]}', "不是UTF-8编码"),
}


async def test_hostile_bodies(client: httpx.AsyncClient) -> None:
    """A body that is not the output of kubectl is -1, with a message about what is expected."""
    for name, (content, message) in HOSTILE.items():
        answer = await client.post(DRIFT, content=content, headers=JSON)
        assert (answer.status_code in (400, 422), answer.json()["status"]) == (True, "-1"), (name, answer.text)
        assert message in answer.json()["msg"], name


async def test_hostile_objects(client: httpx.AsyncClient) -> None:
    """Any value in any place of an object is at most a difference, never an error."""
    objects = await deployed(client, await register(client, **FIELDS, config="/etc/a"), nodeSelector="a=b")
    objects = [*objects, pod(objects[-1])]
    items: list[Any] = []
    for number, copied in enumerate(spoilt(objects, lambda at: WRONG[at % len(WRONG)])):
        items += [item for item, intact in zip(copied, objects, strict=True) if item != intact or number == 0]
    deep: Any = "x"
    for _ in range(450):
        deep = [{"a": deep}]
    for number in range(2):
        items.append(json.loads(json.dumps(objects[-2 - number])))
        items[-1]["spec"]["template" if number == 0 else "ports"] = deep
    body = json.dumps({"kind": "List", "items": list(filter(is_object, items))}).replace("Infinity", "1e999")
    answer = await client.post(DRIFT, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["status"]) == (200, "0"), answer.text[:300]
    assert answer.json()["res"]["total"] > 100


async def test_wrong_options(client: httpx.AsyncClient) -> None:
    """All wrong options are reported at once, without reading the body."""
    answer = await client.post(DRIFT, params={"naming": "x", "nothing": "1", "format": "yaml"}, json={})
    assert (answer.status_code, answer.json()["status"]) == (422, "202")
    assert all(name in answer.json()["msg"] for name in ("naming", "nothing", "format"))


async def test_one_at_a_time(client: httpx.AsyncClient) -> None:
    """A worker runs one comparison at a time; others get -429."""
    objects = await deployed(client, await register(client, **FIELDS))
    content = printed(objects * 400)
    runs = [client.post(DRIFT, content=content, headers=JSON) for _ in range(4)]
    statuses = [answer.status_code for answer in await asyncio.gather(*runs)]
    assert set(statuses) == {200, 429}
    assert (await client.post(DRIFT, content=content, headers=JSON)).status_code == 200


async def test_differences_are_bounded(client: httpx.AsyncClient) -> None:
    """At most a hundred differences are listed for an image, and the rest is counted."""
    env = ",".join(f"N{at}:a" for at in range(150))
    image_id = await register(client, env=env)
    objects = await deployed(client, image_id)
    for entry in env_of(objects):
        entry["value"] = "b"
    entry = await only(client, objects)
    assert (len(paths(entry)), entry["unlisted"], entry["state"]) == (100, 50, "modified")
