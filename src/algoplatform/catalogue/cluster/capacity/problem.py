"""Turns a request, the records that it names and the site's defaults into the numbers of a plan."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from algoplatform.catalogue.cluster.capacity.demand import Need, needs
from algoplatform.catalogue.cluster.capacity.kubectl.nodes import read_nodes
from algoplatform.catalogue.cluster.capacity.kubectl.pods import read_pods
from algoplatform.catalogue.cluster.capacity.nodes import Reading, listed, running
from algoplatform.catalogue.cluster.capacity.sharing import Sharing
from algoplatform.catalogue.cluster.graph import Closure
from algoplatform.domain.errors import Malformed, Refused, clip_reference
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.plan.model import MAX_PODS, PlanRequest, RunningRow
from algoplatform.domain.plan.rows import Faults
from algoplatform.domain.record.model import Image
from algoplatform.planning.capacity.model import Amounts, Cluster, Demand, Held


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose nodes have been read."""

    request: PlanRequest
    sharing: Sharing
    reading: Reading


@dataclass(frozen=True, slots=True)
class Problem:
    """The input of a plan; `needs` and `demands` have the same order."""

    needs: Sequence[Need]
    demands: Sequence[Demand]
    cluster: Cluster
    assumptions: list[str]


def read(request: PlanRequest, sharing: Sharing) -> Asked:
    """Read the nodes of a request; raises Refused. Drops kubectl's output, which is no longer needed."""
    reading = reading_of(request, sharing)
    cards = {card for node in reading.cluster.nodes for card in node.cards}
    sharing.cards = sorted(cards, key=lambda card: card.memory)
    return Asked(replace(request, kubectl=None), sharing, reading)


def assemble(asked: Asked, closure: Closure, others: Mapping[str, Image]) -> Problem:
    """Assemble a problem; `others` are the images of running pods by the names in the request.

    Raises Refused: 202 for what the request says, -422 for what the records make impossible.
    """
    request, sharing, reading = asked.request, asked.sharing, asked.reading
    found = needs(closure, request)
    demands = _demands(found.listed, sharing)
    cluster = replace(reading.cluster, held=reading.cluster.held + _running(asked, others))
    told = [*reading.assumptions, *found.assumptions, *_of_profile(found.listed, demands, request, sharing)]
    return Problem(found.listed, demands, cluster, told)


def reading_of(request: PlanRequest, sharing: Sharing) -> Reading:
    """Read the nodes of a request from their rows or from kubectl's output; raises Refused."""
    return listed(request.nodes, sharing) if request.kubectl is None else read_kubectl(request.kubectl, sharing)


def read_kubectl(given: Mapping[str, Any], sharing: Sharing) -> Reading:
    """Read the outputs of kubectl; raises Refused with every fault."""
    faults = Faults()
    nodes = read_nodes(given["nodes"], sharing, faults)
    held = read_pods(given["pods"], nodes, sharing, faults) if given.get("pods") is not None else ()
    faults.end()
    if given.get("pods") is None:
        nodes.assumptions.append("没有给出kubectl.pods，按节点上没有容器组计算")
    return Reading(Cluster(tuple(nodes.nodes), held, tuple(nodes.left_out)), nodes.layout, nodes.assumptions)


def _demands(listed: Sequence[Need], sharing: Sharing) -> list[Demand]:
    demands: list[Demand] = []
    faults: list[Fault] = []
    for need in listed:
        try:
            each, oversized = _amounts(need.image, sharing)
        except Malformed as error:
            named = clip_reference(need.reference)
            faults += [Fault("gpuRequests", Code.IMPOSSIBLE, f"{named}：gpuRequests{told}") for told in error.faults]
            continue
        demands.append(Demand(need.reference, need.replicas, each, oversized))
    pods = sum(need.replicas for need in listed)
    if pods > MAX_PODS:
        faults.append(Fault("cameras", Code.IMPOSSIBLE, f"共需要{pods}个副本，至多规划{MAX_PODS}个"))
    if faults:
        raise Refused(faults)
    return demands


def _amounts(image: Image, sharing: Sharing) -> tuple[Amounts, bool]:
    asked = sharing.request(image.gpu_requests)
    cpu = image.cpu_requests or sharing.options.default_cpu
    memory = image.mem_requests or sharing.options.default_memory
    return Amounts(cpu, memory, asked.memory, asked.shares), asked.oversized


def _running(asked: Asked, others: Mapping[str, Image]) -> tuple[Held, ...]:
    faults = Faults()
    found: list[tuple[RunningRow, Amounts]] = []
    for position, row in enumerate(asked.request.running):
        try:
            each = _amounts_of(row, others, asked.sharing)
        except Malformed as error:
            faults.tell(f"running[{position}]", f"的GPU{error}")
            continue
        if each.shares and row.card is None:
            faults.tell(f"running[{position}].card", "不能为空：这个镜像使用GPU")
        found.append((row, each))
    faults.end()
    return running(found, asked.reading)


def _amounts_of(row: RunningRow, others: Mapping[str, Image], sharing: Sharing) -> Amounts:
    if row.image is not None:
        return _amounts(others[row.image], sharing)[0]
    asked = sharing.request(row.gpu_memory)
    return Amounts(row.cpu, row.memory, asked.memory, asked.shares)


def _wasted(listed: Sequence[Need], demands: Sequence[Demand], sharing: Sharing) -> str:
    """Return how much more GPU memory the replicas take than they request, as the end of a Chinese sentence."""
    asked = ((need.image.gpu_requests or 0, demand) for need, demand in zip(listed, demands, strict=True))
    whole_cards = sharing.profile.cards_up_to or 0
    wasted = sum(demand.replicas * (demand.each.gpu_memory - mib) for mib, demand in asked if mib > whole_cards)
    return f"，比gpuRequests共多占显存{wasted}MiB" if wasted > 0 else ""


def _of_profile(
    listed: Sequence[Need], demands: Sequence[Demand], request: PlanRequest, sharing: Sharing
) -> Iterator[str]:
    """Yield the assumptions that follow from the profile, if any image uses a GPU."""
    name = sharing.profile.name
    if not any(need.image.gpu_requests for need in listed):
        return
    if sharing.profile.is_none:
        yield f"方案{name}不分配GPU：gpuRequests大于0的镜像按不用GPU计算"
    elif sharing.has_units:
        yield f"方案{name}按整份分配GPU：每个副本占一份{_wasted(listed, demands, sharing)}"
        if sharing.is_whole and any((card.shares or 1) > 1 for row in request.nodes for card in row.cards):
            yield f"方案{name}中每张卡只能给一个副本，不采用shares"
        if request.reserve.gpu_memory_percent:
            yield f"方案{name}按整份分配GPU，不预留每张卡的{request.reserve.gpu_memory_percent}%显存"
    elif sharing.is_unlimited:
        yield f"方案{name}不限制显存：按gpuRequests计算"
    if sharing.profile.slices and len(sharing.cards) > 1:
        yield f"方案{name}有{len(sharing.cards)}种实例：较小的请求也可能排在较大的实例上，部署时须用该实例的资源名"
