"""Ports: each number once per container, and two Services."""

from typing import Any

import pytest

from algoplatform.domain.record.check import Rules, check
from algoplatform.manifests.image import Target
from algoplatform.manifests.rendering import render
from tests.support.images import minimal
from tests.support.rendering import IMAGE_ID, main_of, options, reasons, rendered, target


def services(ports: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return name, port, target port and node port of each port, by type of the Service."""
    return {
        item["spec"]["type"]: [
            (port["name"], port["port"], port["targetPort"], port.get("nodePort")) for port in item["spec"]["ports"]
        ]
        for item in rendered(imagePorts=ports).objects
        if item["kind"] == "Service"
    }


def test_without_ports() -> None:
    assert services("") == {}
    assert "ports" not in main_of(rendered())


def test_node_ports_of_a_site() -> None:
    """Node ports that the site's range allows, but the default range of Kubernetes does not, cause a warning."""
    checked = check(minimal(imagePorts="a:80:40000,b:81:30001,c:82:20000"), Rules(node_ports=range(20000, 40001)))
    assert checked.image
    found = render([Target(checked.image, IMAGE_ID, 1)], options())
    [warning] = found.warnings
    assert warning.rule == "node-port-range"
    assert "40000、20000" in warning.message


def test_two_services() -> None:
    """A port without a node port is only in the ClusterIP Service, so that Kubernetes assigns no random node port."""
    assert services("a:80:30016,b:81") == {
        "ClusterIP": [("a", 80, 80, None), ("b", 81, 81, None)],
        "NodePort": [("a", 80, 80, 30016)],
    }
    found = rendered(imagePorts="a:80:30016")
    names = [item["metadata"]["name"] for item in found.objects]
    assert names == ["algo-x-1-0", "algo-x-1-0-nodeport", "algo-x-1-0"]
    selectors = [item["spec"]["selector"] for item in found.objects[:2]]
    assert selectors == [{"app.kubernetes.io/instance": "algo-x-1-0"}] * 2


@pytest.mark.parametrize(
    ("ports", "cluster", "node"),
    [
        ("a:80,b:80:30016", [("a", 80, 80, None)], [("b", 80, 80, 30016)]),
        (
            "a:80:30016,b:80:30017",
            [("a", 80, 80, None)],
            [("a", 80, 80, 30016), ("b", 30017, 80, 30017)],
        ),
        # 30017 is not free as the Service's second port for 80, because another container port has that number.
        (
            "a:80:30016,b:80:30017,c:30017:30018",
            [("a", 80, 80, None), ("c", 30017, 30017, None)],
            [("a", 80, 80, 30016), ("b", 30018, 80, 30017), ("c", 30017, 30017, 30018)],
        ),
    ],
)
def test_number_twice(ports: str, cluster: list[Any], node: list[Any]) -> None:
    """If a port number occurs twice, its first name is used; a second node port gets a Service port of its own."""
    assert services(ports) == {"ClusterIP": cluster, "NodePort": node}


def test_names_of_container_ports() -> None:
    """Container ports have a name only if Kubernetes accepts it; ports of a Service always have one."""
    ports = "abcdefghijklmno:1,abcdefghijklmnop:2,123:3,a--b:4,a-b:5,1a:6"
    found = rendered(imagePorts=ports)
    assert [port.get("name") for port in main_of(found)["ports"]] == ["abcdefghijklmno", None, None, None, "a-b", "1a"]
    assert [name for name, *_ in services(ports)["ClusterIP"]] == [item.partition(":")[0] for item in ports.split(",")]


def test_addresses() -> None:
    found = rendered({"namespace": "prod"}, imagePorts="a:80:30016,b:80,c:81")
    host = "algo-x-1-0.prod.svc"
    assert found.addresses == {"algo/x:1.0": {"a": f"{host}:80", "b": f"{host}:80", "c": f"{host}:81"}}


def test_readiness() -> None:
    assert main_of(rendered({"readiness": "tcp"}, imagePorts="a:80,b:81"))["readinessProbe"] == {
        "tcpSocket": {"port": 80}
    }
    assert "readinessProbe" not in main_of(rendered({"readiness": "tcp"}))
    assert "readinessProbe" not in main_of(rendered(imagePorts="a:80"))


def test_node_port_twice_in_a_set() -> None:
    """Each clash of two images is one reason, even across namespaces."""
    one = target("a/x", imagePorts="a:80:30016,b:81:30017")
    other = target("b/y", imagePorts="a:80:30016,c:81:30017")
    assert reasons(one, other) == [
        ("imagePorts", "-422", "a/x:1.0与b/y:1.0都使用节点端口30016"),
        ("imagePorts", "-422", "a/x:1.0与b/y:1.0都使用节点端口30017"),
    ]
