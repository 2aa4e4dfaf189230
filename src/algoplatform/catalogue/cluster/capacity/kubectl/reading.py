"""Reads nodes and pods into a cluster."""

from collections.abc import Mapping
from typing import Any

from algoplatform.catalogue.cluster.capacity.kubectl.nodes import read_nodes
from algoplatform.catalogue.cluster.capacity.kubectl.pods import read_pods
from algoplatform.catalogue.cluster.capacity.nodes import Reading
from algoplatform.catalogue.cluster.capacity.sharing import Sharing
from algoplatform.domain.plan.rows import Faults
from algoplatform.planning.capacity.model import Cluster


def read_kubectl(given: Mapping[str, Any], sharing: Sharing) -> Reading:
    """Read the outputs of kubectl; raises Refused with every fault."""
    faults = Faults()
    nodes = read_nodes(given["nodes"], sharing, faults)
    held = read_pods(given["pods"], nodes, sharing, faults) if given.get("pods") is not None else ()
    faults.end()
    if given.get("pods") is None:
        nodes.assumptions.append("没有给出kubectl.pods，按节点上没有容器组计算")
    return Reading(Cluster(tuple(nodes.nodes), held, tuple(nodes.left_out)), nodes.layout, nodes.assumptions)
