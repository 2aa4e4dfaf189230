"""kustomize and helm accept rendered manifests unchanged."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from algoplatform.manifests.rendering import Rendered
from algoplatform.manifests.yaml import dump_yaml
from tests.support.cluster_tools import helm, run_kubectl
from tests.support.rendering import options, render_all


def key(item: dict[str, Any]) -> tuple[str, str, str]:
    """Return the identity of an object."""
    return item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]


def found() -> Rendered:
    """Return the sample registry, rendered as a closure with two replicas each."""
    return render_all(options(replicas=2, closure=True))


def test_kustomize(tmp_path: Path) -> None:
    """kustomize builds the same objects from the manifests."""
    objects = found().objects
    (tmp_path / "images.yaml").write_bytes(b"".join(dump_yaml(objects)))
    (tmp_path / "kustomization.yaml").write_text("resources: [images.yaml]\n")
    built = list(yaml.safe_load_all(run_kubectl("kustomize", str(tmp_path))))
    assert sorted(built, key=key) == sorted(objects, key=key)


def test_helm(tmp_path: Path) -> None:
    """As templates of a chart, the manifests pass `helm lint` and render to the same objects."""
    objects = found().objects
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: images\nversion: 1.0.0\n")
    (tmp_path / "values.yaml").write_text("{}\n")
    (tmp_path / "templates" / "images.yaml").write_bytes(b"".join(dump_yaml(objects)))
    linted = subprocess.run(
        [str(helm()), "lint", "--strict", str(tmp_path)], capture_output=True, timeout=300, check=False
    )
    assert linted.returncode == 0, linted.stdout.decode()
    command = [str(helm()), "template", "images", str(tmp_path)]
    written = subprocess.run(command, capture_output=True, timeout=300, check=True).stdout
    built = [item for item in yaml.safe_load_all(written) if item]
    assert sorted(built, key=key) == sorted(objects, key=key)
