"""Several images together: their order, and what they must not share."""

from typing import Any

import pytest

from algoplatform.domain.errors import Refused
from algoplatform.manifests.image import Target
from algoplatform.manifests.rendering import render
from tests.support.rendering import IMAGE_ID, image, options, reasons, target


def test_order() -> None:
    """Dependencies come first; within a level images keep the order of the request."""
    images = [target("a/c"), target("a/b"), target("a/a"), target("a/b")]
    found = render(images, options(closure=True), levels={"a/c:1.0": 1, "a/a:1.0": 2})
    assert found.order == [["a/b:1.0"], ["a/c:1.0"], ["a/a:1.0"]]
    assert [item["metadata"]["name"] for item in found.objects] == ["a-b-1-0", "a-c-1-0", "a-a-1-0"]
    waves = [item["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] for item in found.objects]
    assert waves == ["0", "1", "2"]
    assert list(found.addresses) == ["a/b:1.0", "a/c:1.0", "a/a:1.0"]


def test_nothing() -> None:
    found = render([], options())
    assert (found.objects, found.order) == ([], [])


def test_cycle() -> None:
    """Members of a cycle share a level."""
    found = render([target("a/a"), target("a/b")], options(closure=True), levels={"a/a:1.0": 0, "a/b:1.0": 0})
    assert found.order == [["a/a:1.0", "a/b:1.0"]]


def test_no_wave_without_closure() -> None:
    for item in render([target(imagePorts="a:1")], options()).objects:
        assert "argocd.argoproj.io/sync-wave" not in item["metadata"].get("annotations", {})


def test_replicas_of_the_named_images_only() -> None:
    images = [target("a/a", tvChannel=2), Target(image("a/b", tvChannel=2), IMAGE_ID, 1, named=False)]
    found = render(images, options(channels=10))
    assert [item["spec"]["replicas"] for item in found.objects] == [5, 1]


def test_equal_names() -> None:
    """If names have no tag, two tags of one image clash: one reason names both."""
    one, other = target("a/x", "1", imagePorts="a:1"), target("a/x", "2", imagePorts="a:1")
    assert reasons(one, other, naming="image") == [("imageName", "-422", "a/x:1与a/x:2生成同名的对象：Service a/a-x")]
    assert reasons(one, other) == []
    # Images of different names do not clash, even if one namespace is set for all.
    assert reasons(target("a/x"), target("b/x"), namespace="prod") == []


def test_shared_host_paths() -> None:
    """A shared path is one warning, however it is spelled; driver libraries may be shared."""
    images = [target(f"a/x{number}", hostPath="/data:/d,/own:/o", subPath="/l.so:/l") for number in range(12)]
    images[0] = target("a/x0", hostPath="/data/:/d,//data:/e")
    images[1] = target("a/x1", hostPath="/data/.:/d")
    found = render(images[:2], options()).warnings
    assert [(item.rule, item.severity, item.image) for item in found] == [("hostpath-conflict", "warning", "a/x0:1.0")]
    assert found[0].message == "a/x0:1.0、a/x1:1.0都挂载主机目录“/data”"
    [many, own] = render(images, options()).warnings
    assert many.message.endswith("、a/x9:1.0等12个镜像都挂载主机目录“/data”")
    assert "“/own”" in own.message
    assert render(images[2:3], options()).warnings == []


def test_every_reason_at_once() -> None:
    bad = target("a/x", gpuRequests=99999, imageMount="/a", config="/a", imagePorts="a:1:30001")
    worse = target("a/y", gpuRequests=99999, imagePorts="a:1:30001")
    found = reasons(bad, worse, cards="15109", pin=True)
    assert [(field, message.partition("：")[0]) for field, _, message in found] == [
        ("gpuRequests", "a/x:1.0"),
        ("config", "a/x:1.0"),
        ("pin", "a/x:1.0"),
        ("gpuRequests", "a/y:1.0"),
        ("pin", "a/y:1.0"),
        ("imagePorts", "a/x:1.0与a/y:1.0都使用节点端口30001"),
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a/y:1.0": {"/a": ""}}, "configFiles中的“a/y:1.0”不在要生成的镜像中"),
        ({"a/x:1.0": {"/b": ""}}, "configFiles中a/x:1.0的“/b”不在其config中"),
        ({"a/x:1.0": {"/a": "\ud800"}}, "configFiles中a/x:1.0的“/a”的内容含有不合法的Unicode字符"),
        ({"a/z:1.0": {"/b": ""}}, "configFiles中a/z:1.0的“/b”不在其config中"),
        ({"a/x:1.0": {"/a": "1", "//a": "2"}}, "configFiles中a/x:1.0的“//a”与“/a”是同一个文件"),
        ({"0" * 32: {"/a": ""}}, f"configFiles中的“{'0' * 32}”不在要生成的镜像中"),
    ],
)
def test_unknown_files(files: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as caught:
        render([target("a/x", config="/a"), target("a/z")], options(), config_files=files)
    assert [(fault.field, fault.code, fault.message) for fault in caught.value.faults] == [
        ("configFiles", "202", message)
    ]


def test_very_many_unknown_files() -> None:
    """Only the first 200 faults are listed."""
    with pytest.raises(Refused) as caught:
        render([target()], options(), config_files={"algo/x:1.0": {f"/{number}": "" for number in range(1000)}})
    assert len(caught.value.faults) == 200


def test_a_thousand_images() -> None:
    found = render([target(f"a/x{number}", imagePorts=f"a:1:{30000 + number}") for number in range(1000)], options())
    assert len(found.objects) == 3000
