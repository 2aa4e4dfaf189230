"""Whole manifests, as files: what an operator gets for a record and options.

ALGOPLATFORM_TEST_WRITE=1 writes the files anew, to be read before they are committed.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from algoplatform.manifests.rendering import Rendered, render
from algoplatform.manifests.yaml import dump_yaml
from tests.support.images import document_examples
from tests.support.programs import ROOT
from tests.support.rendering import main_of, options, pod_of, render_all, target, target_of

GOLDEN = ROOT / "tests" / "data" / "manifests"
REGISTER = json.loads(document_examples()[0])
LEVELS = {"algo/posterize:1.0": 0, "algo/plate_recognize:3.0": 1, "algo/plate_color:1.4": 2}


def _closure() -> Rendered:
    records = json.loads((ROOT / "examples" / "image_list.json").read_text("utf-8"))["res"].values()
    chosen = [target_of(item) for item in records if f"{item['imageName']}:{item['imageTag']}" in LEVELS]
    return render(chosen, options(closure=True, registry="harbor.local:5000", localtime="host"), levels=LEVELS)


def _stateful() -> Rendered:
    fields = {"imageMount": "/models,/logs", "pvcSize": 50, "gpuRequests": 10000, "imagePorts": "feature:7001"}
    given = options(profile="volcano", channels=100, claims="per-mount", storageClass="local", readiness="tcp")
    return render([target("algo/face_feature", "6.3-cuda12", tvChannel=32, **fields)], given)


def _given_config() -> Rendered:
    image = target("algo/a", config="/app/a.conf,/app/b.conf", pvcSize=10, imageMount="/data", env="ON:on,X:$(A)")
    files = {"algo/a:1.0": {"/app/a.conf": "on: 012\n键: 值\u2028\n"}}
    given = options(namespace="prod", pullSecrets="harbor", nodeSelector="gpu=t4", tolerations="gpu=t4:NoSchedule")
    return render([image], given, config_files=files)


def _register() -> Rendered:
    return render([target_of(REGISTER)], options())


def _sample() -> Rendered:
    return render_all(options())


CASES: dict[str, Callable[[], Rendered]] = {
    "register": _register,
    "closure": _closure,
    "stateful": _stateful,
    "given-config": _given_config,
    "sample": _sample,
}


def answer(found: Rendered) -> str:
    """Return all parts of the result except the manifests, as readable JSON."""
    said = {key: value for key, value in asdict(found).items() if key != "objects"}
    return json.dumps(said, ensure_ascii=False, indent=2) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    """Manifests and the rest of the result equal the files, byte for byte."""
    found = CASES[name]()
    made = {
        GOLDEN / f"{name}.yaml": b"".join(dump_yaml(found.objects)),
        GOLDEN / f"{name}.json": answer(found).encode(),
    }
    for path, content in made.items():
        if os.environ.get("ALGOPLATFORM_TEST_WRITE"):
            path.write_bytes(content)
        assert path.read_bytes() == content


def test_document_s_example() -> None:
    """States what the golden file of the API document's example must contain."""
    found = CASES["register"]()
    services = [item["spec"] for item in found.objects if item["kind"] == "Service"]
    assert [spec["type"] for spec in services] == ["ClusterIP", "NodePort"]
    assert [[port["port"] for port in spec["ports"]] for spec in services] == [[5016, 5017, 8888], [5016, 5017]]
    sources = {volume["name"]: volume.get("hostPath") for volume in pod_of(found)["volumes"]}
    assert [sources[name]["type"] for name in ("lib-1", "lib-2", "host-1")] == ["File", "File", "Directory"]
    [need] = found.needs
    assert (need["kind"], list(need["keys"].values())) == ("ConfigMap", REGISTER["config"].split(","))
    assert main_of(found)["resources"]["limits"] == {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 1000}


def test_every_field_is_used() -> None:
    """Each field affects the manifests, so rendering drops none."""
    changes: dict[str, Any] = {
        "imageName": "algo/other",
        "imageTag": "2",
        "algoType": "1",
        "useableFlag": "1",
        "imagePorts": "a:1",
        "pvcSize": 7,
        "env": "A:1",
        "hostPath": "/a:/b",
        "subPath": "/a:/b",
        "dependencyServiceId": "algo/other:1.0",
        **dict.fromkeys(("imageMount", "config", "workingDir", "command", "args"), "/other"),
        **dict.fromkeys(("factory", "algoName", "algoDesc", "incidentId"), "other"),
        **dict.fromkeys(("tvChannel", "pics", "cpuRequests", "gpuRequests", "memRequests", "eventType"), 77),
        **dict.fromkeys(("frameInterval", "frameNumber"), 77),
    }
    assert set(changes) == set(REGISTER)
    same = [
        name
        for name, value in changes.items()
        if render([target_of({**REGISTER, name: value})], options()).objects == CASES["register"]().objects
    ]
    # Dependencies only affect the order of a closure.
    assert same == ["dependencyServiceId"]
