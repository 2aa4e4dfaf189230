"""Changes of an image that break its dependents."""

from typing import Any

import pytest

from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.model import Image
from algoplatform.planning.graph.changes import harmful_changes
from tests.support.images import minimal


def image(**fields: Any) -> Image:
    """Return a valid image."""
    checked = check(minimal(**fields), Rules())
    assert checked.image is not None, checked.faults
    return checked.image


def changes(old: dict[str, Any], new: dict[str, Any], channels: int | None = None) -> list[dict[str, Any]]:
    """Return the changes without their messages, none of which may be empty."""
    found = [change.document() for change in harmful_changes(image(**old), image(**new), channels)]
    assert all(change.pop("message") for change in found)
    return found


PORTS = "http:8080:30080,grpc:9090"


@pytest.mark.parametrize(
    ("field", "old", "new", "expected"),
    [
        ("imagePorts", PORTS, "http:8080:30080", [("grpc:9090", None)]),
        ("imagePorts", PORTS, "http:8081:30080,grpc:9090", [("http:8080:30080", "http:8081:30080")]),
        ("imagePorts", PORTS, "http:8080,grpc:9090", [("http:8080:30080", "http:8080")]),
        ("imagePorts", PORTS, "http:8080:30081,grpc:9090", [("http:8080:30080", "http:8080:30081")]),
        ("imagePorts", PORTS, "http:8080,grpc:9090:30080", [("http:8080:30080", "http:8080")]),
        ("imagePorts", PORTS, "web:8080:30080,grpc:9090", [("http:8080:30080", "web:8080:30080")]),
        ("imagePorts", PORTS, None, [("http:8080:30080", None), ("grpc:9090", None)]),
        ("imagePorts", PORTS, f"{PORTS}:30090,more:1", []),
        ("imagePorts", None, PORTS, []),
        ("imageMount", "/a,/b", "/b,/c", [("/a", None)]),
        ("imageMount", "/a", None, [("/a", None)]),
        ("imageMount", "/a", "/b,/a", []),
        ("imageMount", "/a,/b/./c", "/a/,//b/c", []),
        ("hostPath", "/home:/home,/data:/data", "/data:/data", [("/home:/home", None)]),
        ("hostPath", "/home:/home", "/home/:/home/.", []),
        ("hostPath", "/home:/home", "/home:/home/a", [("/home:/home", None)]),
        ("gpuRequests", 1000, 1001, [(1000, 1001)]),
        ("gpuRequests", None, 1, [(None, 1)]),
        ("gpuRequests", 1000, 999, []),
        ("gpuRequests", 1000, None, []),
        ("gpuRequests", None, 0, []),
        ("eventType", 3001, 3002, [(3001, 3002)]),
        ("eventType", 3001, None, [(3001, None)]),
        ("eventType", 0, 1, [(0, 1)]),
        ("eventType", None, 3001, []),
        ("cpuRequests", 1, 1000, []),
    ],
)
def test_a_field(field: str, old: Any, new: Any, expected: list[tuple[Any, Any]]) -> None:
    """A removed or worse value is listed with its replacement; a better or new one is not listed."""
    found = changes({field: old}, {field: new})
    assert found == [{"field": field, "from": before, "to": after} for before, after in expected]


@pytest.mark.parametrize(
    ("old", "new", "channels", "replicas"),
    [
        (8, 4, None, {"from": 1, "to": 2}),
        (8, 3, None, {"from": 1, "to": 3}),
        (8, 4, 100, {"from": 13, "to": 25}),
        (8, 7, 1, {"from": 1, "to": 1}),
        (8, None, 100, {"from": 13, "to": None}),
        (8, 0, None, {"from": 1, "to": None}),
    ],
)
def test_fewer_channels_need_more_replicas(old: int, new: int | None, channels: int | None, replicas: Any) -> None:
    """Replicas are rounded up; the default number of channels is what one replica served before."""
    expected = {"field": "tvChannel", "from": old, "to": new, "replicas": replicas}
    assert changes({"tvChannel": old}, {"tvChannel": new}, channels) == [expected]


@pytest.mark.parametrize(("old", "new"), [(4, 4), (4, 8), (None, 1), (0, 1), (None, None)])
def test_channels_that_do_not_hurt(old: int | None, new: int | None) -> None:
    """Equal or more channels need no more replicas, and an unknown number was no promise."""
    assert changes({"tvChannel": old}, {"tvChannel": new}, 100) == []


def test_all_changes_in_the_order_of_the_fields() -> None:
    """All changes are found in one pass."""
    old = {
        "imagePorts": PORTS,
        "imageMount": "/a",
        "tvChannel": 2,
        "gpuRequests": 1,
        "eventType": 1,
        "hostPath": "/b:/b",
    }
    new = {"tvChannel": 1, "gpuRequests": 2, "eventType": 2}
    fields = [change["field"] for change in changes(old, new)]
    assert fields == ["imagePorts", "imagePorts", "imageMount", "tvChannel", "gpuRequests", "eventType", "hostPath"]


def test_messages_are_chinese_and_say_how_much() -> None:
    """Each message is understandable on its own."""
    [channels, gpu] = harmful_changes(image(tvChannel=8, gpuRequests=1000), image(tvChannel=3, gpuRequests=2000), 16)
    assert channels.message == "每个副本的视频路数由8降为3，16路需要的副本由2个增加到6个"
    assert gpu.message == "gpu显存由1000MiB增加到2000MiB"
