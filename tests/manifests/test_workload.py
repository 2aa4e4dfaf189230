"""Fields of the container and the pod."""

import pytest

from algoplatform.manifests.quantities import literal
from algoplatform.manifests.rendering import render
from tests.support.rendering import main_of, only, options, pod_of, reasons, rendered, target

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("name", "registry", "pulled"),
    [
        ("algo/x", "", "algo/x:1.0"),
        ("algo/x", "harbor.local:5000", "harbor.local:5000/algo/x:1.0"),
        ("algo/x", "harbor.local/mirror", "harbor.local/mirror/algo/x:1.0"),
        ("other.local/algo/x", "harbor.local", "other.local/algo/x:1.0"),
        ("localhost/x", "harbor.local", "localhost/x:1.0"),
    ],
)
def test_image(name: str, registry: str, pulled: str) -> None:
    main = main_of(rendered({"registry": registry}, name=name))
    assert (main["image"], main["imagePullPolicy"]) == (pulled, "IfNotPresent")


def test_pin() -> None:
    found = render([target()], options(pin=True, registry="h.local"), digests={"algo/x:1.0": DIGEST})
    assert main_of(found)["image"] == f"h.local/algo/x@{DIGEST}"
    unpinned = render([target()], options(), digests={"algo/x:1.0": DIGEST})
    assert main_of(unpinned)["image"] == "algo/x:1.0"
    assert reasons(target(), pin=True) == [("pin", "-422", "algo/x:1.0：没有摘要，请先校验镜像")]


def test_words() -> None:
    fields = {"command": "sh -c 'a b'", "args": '--x "1, 2",3'}
    main = main_of(rendered(**fields))
    assert (main["command"], main["args"]) == (["sh", "-c", "a b"], ["--x", "1, 2,3"])
    older = main_of(rendered({"argsStyle": "comma"}, **fields))
    assert (older["command"], older["args"]) == (["sh -c 'a b'"], ['--x "1', ' 2"', "3"])


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("$HOME", "$HOME"),
        ("a$", "a$"),
        ("$(A)", "$$(A)"),
        ("$$x", "$$$$x"),
        ("价$价", "价$$价"),
        ("$A $(B)", "$$A $$(B)"),
        ("", ""),
    ],
)
def test_dollars(text: str, escaped: str) -> None:
    """Every `$` is doubled if Kubernetes would otherwise change the text."""
    assert literal(text) == escaped
    assert expanded(escaped) == text


def expanded(text: str) -> str:
    """Expand a text as Kubernetes does if no variables are set: byte by byte, `$$` becomes `$`, `$(X)` stays."""
    data, found, at = text.encode(), b"", 0
    while at < len(data):
        if data[at : at + 2] == b"$$":
            found, at = found + b"$", at + 2
        else:
            found, at = found + data[at : at + 1], at + 1
    return found.decode()


def test_escaped_places() -> None:
    """Variables, command and arguments are escaped, as Kubernetes expands them; the working directory is not."""
    main = main_of(rendered(env="A:$(B),B:x", command="$(A)", args="$$x", workingDir="/$(A)"))
    assert main["env"] == [{"name": "A", "value": "$$(B)"}, {"name": "B", "value": "x"}]
    assert (main["command"], main["args"], main["workingDir"]) == (["$$(A)"], ["$$$$x"], "/$(A)")


def test_requests() -> None:
    assert main_of(rendered(cpuRequests=1000, memRequests=2000))["resources"] == {
        "requests": {"cpu": "1000m", "memory": "2000Mi"}
    }
    assert "resources" not in main_of(rendered(cpuRequests=0))
    given = {"defaultCpu": 500, "defaultMemory": 1024, "limits": "memory"}
    assert main_of(rendered(given, cpuRequests=0))["resources"] == {
        "requests": {"cpu": "500m", "memory": "1024Mi"},
        "limits": {"memory": "1024Mi"},
    }
    assert "resources" not in main_of(rendered({"limits": "memory"}))


def test_pod() -> None:
    plain = pod_of(rendered())
    assert {key: plain[key] for key in plain if key != "containers"} == {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }
    assert set(main_of(rendered())) == {"name", "image", "imagePullPolicy"}
    found = pod_of(
        rendered(
            {
                "pullSecrets": "a,b",
                "serviceAccount": "robot",
                "runtimeClass": "nvidia",
                "schedulerName": "mine",
                "nodeSelector": "gpu=t4",
                "tolerations": "a=b:NoSchedule,c",
            }
        )
    )
    del found["containers"]
    assert found == {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": "robot",
        "imagePullSecrets": [{"name": "a"}, {"name": "b"}],
        "runtimeClassName": "nvidia",
        "schedulerName": "mine",
        "nodeSelector": {"gpu": "t4"},
        "tolerations": [
            {"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"},
            {"key": "c", "operator": "Exists"},
        ],
    }


@pytest.mark.parametrize(
    ("given", "channel", "replicas"),
    [
        ({}, 8, 1),
        ({"replicas": 0}, 8, 0),
        ({"replicas": 5}, 8, 5),
        ({"channels": 16}, 8, 2),
        ({"channels": 17}, 8, 3),
        ({"channels": 1}, 8, 1),
        ({"channels": 17}, None, 1),
        ({"channels": 17}, 0, 1),
    ],
)
def test_replicas(given: dict[str, int], channel: int | None, replicas: int) -> None:
    found = rendered(given, tvChannel=channel)
    assert only(found, "Deployment")["spec"]["replicas"] == replicas
    assumed = ["algo/x:1.0：tvChannel为空，channels不能换算，副本数取1"]
    assert found.assumptions == (assumed if "channels" in given and not channel else [])
