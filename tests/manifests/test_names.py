"""Names that Kubernetes accepts, that differ for different images, and that are stable."""

import re
from hashlib import sha256

import pytest
from hypothesis import given

from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.manifests.names import config_keys, is_label_value, labels, namespace_of, object_name
from tests.support.rendering import image, only, rendered
from tests.support.strategies import path_lists, references


def named(text: str, naming: str = "tag") -> str:
    """Return the object name of a reference."""
    return object_name(ImageReference.parse(text), naming)


def digits(text: str) -> str:
    """Return the hash in a name."""
    return sha256(text.encode()).hexdigest()[:6]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("algo/posterize:1.0", "algo-posterize-1-0"),
        ("redis:7", "redis-7"),
        ("a/b/c2:1.2.3", "a-b-c2-1-2-3"),
        ("x" * 40 + ":1.2.3", "x" * 40 + "-1-2-3"),
    ],
)
def test_plain(text: str, name: str) -> None:
    assert named(text) == name


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("algo/a_b:1.0", "algo-a-b-1-0"),
        ("algo/a-b:1.0", "algo-a-b-1-0"),
        ("algo/a:latest", "algo-a-latest"),
        ("algo/a:1.0-GPU", "algo-a-1-0-gpu"),
        ("algo/a:1.", "algo-a-1"),
        ("algo/2d:1", "algo-2d-1"),
        ("2d/algo:1", "a-2d-algo-1"),
        ("harbor.local:5000/algo/a:1.0", "algo-a-1-0"),
        ("x" * 41 + ":1.2.3", "x" * 39),
    ],
)
def test_hashed(text: str, begin: str) -> None:
    assert named(text) == f"{begin}-{digits(text)}"


def test_without_the_tag() -> None:
    assert named("algo/posterize:1.0", "image") == named("algo/posterize:latest", "image") == "algo-posterize"
    assert named("algo/a_b:1.0", "image") == f"algo-a-b-{digits('algo/a_b')}"


@given(references(), references())
def test_accepted_and_different(one: ImageReference, other: ImageReference) -> None:
    for naming in ("tag", "image"):
        name = object_name(one, naming)
        assert re.fullmatch(r"[a-z](?:[-a-z0-9]*[a-z0-9])?", name)
        assert len(name) <= 46
    assert one == other or object_name(one) != object_name(other)
    assert all(map(is_label_value, labels(one, object_name(one)).values()))


def test_labels_and_annotations() -> None:
    """Only the workload has the description, so that changing it restarts no pod."""
    found = rendered(
        name="harbor.local/algo/face_id", tag="V2", algoDesc="人脸\n识别", frameInterval=0, imagePorts="a:1"
    )
    item = only(found, "Deployment")
    name = item["metadata"]["name"]
    assert item["metadata"]["labels"] == {
        "app.kubernetes.io/name": "face-id",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "algoplatform",
        "app.kubernetes.io/version": "V2",
    }
    notes = item["metadata"]["annotations"]
    assert notes["algoplatform/algo-desc"] == "人脸\n识别"
    assert notes["algoplatform/frame-interval"] == "0"
    assert notes["algoplatform/reference"] == "harbor.local/algo/face_id:V2"
    assert (notes["algoplatform/record-version"], notes["algoplatform/renderer"]) == ("1", "1")
    assert "algoplatform/pics" not in notes
    assert item["spec"]["template"]["metadata"] == {"labels": {"app.kubernetes.io/instance": name}}
    assert item["spec"]["selector"] == {"matchLabels": {"app.kubernetes.io/instance": name}}
    assert "annotations" not in only(found, "Service")["metadata"]


def test_version_only_if_a_label_can_hold_it() -> None:
    for tag in ("_1", "1.", "x" * 64):
        assert "app.kubernetes.io/version" not in labels(ImageReference.parse(f"algo/a:{tag}"), "a")


@pytest.mark.parametrize(
    ("name", "wanted", "namespace"),
    [
        ("algo/a", None, "algo"),
        ("redis", None, "default"),
        ("harbor.local/redis", None, "default"),
        ("a_b/c", None, f"a-b-{digits('a_b')}"),
        ("2d/c", None, "2d"),
        ("algo/a", "prod", "prod"),
        ("algo/a", "Prod", f"prod-{digits('Prod')}"),
        ("algo/a", "算法", f"a-{digits('算法')}"),
        ("x" * 64 + "/c", None, "x" * 39 + "-" + digits("x" * 64)),
    ],
)
def test_namespace(name: str, wanted: str | None, namespace: str) -> None:
    assert namespace_of(image(name), wanted) == namespace


def test_config_keys() -> None:
    assert config_keys(["/etc/fdfs/client.conf", "/app/配置.conf", "/a/b", "/a_b", "/..a", "/.hidden"]) == {
        "/etc/fdfs/client.conf": "etc_fdfs_client.conf",
        "/app/配置.conf": f"app_-.conf-{digits('/app/配置.conf')}",
        "/a/b": f"a_b-{digits('/a/b')}",
        "/a_b": f"a_b-{digits('/a_b')}",
        "/..a": f"a-{digits('/..a')}",
        "/.hidden": ".hidden",
    }


@given(path_lists())
def test_config_keys_are_accepted_and_different(paths: object) -> None:
    keys = list(config_keys(str(paths).split(",")).values())
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"(?!\.\.|\.\Z)[-._a-zA-Z0-9]{1,253}", key) for key in keys)
