"""Ports of a container, and the two Services that make them reachable."""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from algoplatform.domain.grammar.ports import CONTAINER_PORTS, ImagePort
from algoplatform.domain.record.model import Image
from algoplatform.manifests.names import INSTANCE

NODE_PORT: Final = "-nodeport"
# The name of a container port is a service name (RFC 6335), shorter than that of a Service's port.
_PORT_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])(?!.*--)[a-z0-9-]+")


def ports_of(image: Image) -> tuple[ImagePort, ...]:
    return image.image_ports.items if image.image_ports else ()


def container_ports(image: Image) -> list[dict[str, Any]]:
    """Return the container's ports, each number once."""
    return [_container_port(port) for port in _by_number(ports_of(image))]


def _container_port(port: ImagePort) -> dict[str, Any]:
    name = {"name": port.name} if _PORT_NAME.fullmatch(port.name) else {}
    return {**name, "containerPort": port.container_port, "protocol": "TCP"}


def _by_number(ports: tuple[ImagePort, ...]) -> list[ImagePort]:
    first: dict[int, ImagePort] = {}
    for port in ports:
        first.setdefault(port.container_port, port)
    return list(first.values())


def services(image: Image, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and spec of each Service: one in the cluster for every port, one for the node ports."""
    ports = ports_of(image)
    inner = [_service_port(port, port.container_port) for port in _by_number(ports)]
    outer = list(_node_ports(ports))
    # In a single Service of type NodePort, a port without a node port would get a random one, which another image
    # may need.
    if inner:
        yield name, {"type": "ClusterIP", "selector": {INSTANCE: name}, "ports": inner}
    if outer:
        yield f"{name}{NODE_PORT}", {"type": "NodePort", "selector": {INSTANCE: name}, "ports": outer}


def _service_port(port: ImagePort, number: int) -> dict[str, Any]:
    return {"name": port.name, "port": number, "targetPort": port.container_port, "protocol": "TCP"}


def _node_ports(ports: tuple[ImagePort, ...]) -> Iterator[dict[str, Any]]:
    exposed = [port for port in ports if port.node_port is not None]
    taken = {port.container_port for port in exposed}
    seen: set[int] = set()
    for port in exposed:
        assert port.node_port is not None
        number = port.container_port
        if number in seen:
            # The second node port of a container port gets another number, as a Service may use each only once.
            candidates = chain(range(port.node_port, CONTAINER_PORTS.stop), reversed(range(1, port.node_port)))
            number = next(candidate for candidate in candidates if candidate not in taken)
            taken.add(number)
        seen.add(number)
        yield {**_service_port(port, number), "nodePort": port.node_port}


def addresses(image: Image, name: str, namespace: str) -> dict[str, str]:
    """Return the address of each port within the cluster, DNS name and number, by the name of the port."""
    return {port.name: f"{name}.{namespace}.svc:{port.container_port}" for port in ports_of(image)}
