"""A plan as the interface answers it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from algoplatform.catalogue.cluster.capacity.nodes import Layout
from algoplatform.catalogue.cluster.capacity.problem import Problem
from algoplatform.planning.capacity.plan import Plan


def document(problem: Problem, layout: Layout, found: Plan) -> dict[str, Any]:
    """Return the `res` of the answer."""
    planned = found.document()
    return {
        "fits": planned["fits"],
        "demand": list(_demand(problem)),
        "totals": planned["totals"],
        "placements": _on_cards(planned["placements"], layout),
        "unplaced": planned["unplaced"],
        "addNodes": planned["addNodes"],
        "scheduler": planned["scheduler"],
        "assumptions": problem.assumptions,
    }


def _demand(problem: Problem) -> Iterator[dict[str, Any]]:
    for need, demand in zip(problem.needs, problem.demands, strict=True):
        each = demand.each
        yield {
            "image": need.reference,
            "channels": need.channels,
            "perReplica": need.per_replica,
            "replicas": need.replicas,
            "because": need.because,
            "each": {"cpu": each.cpu, "memory": each.memory, "gpuMemory": each.gpu_memory},
        }


def _on_cards(placements: Sequence[dict[str, Any]], layout: Layout) -> list[dict[str, Any]]:
    """Name the cards instead of their units."""
    if not layout:
        return list(placements)
    found: Counter[tuple[str, int | None, str]] = Counter()
    for each in placements:
        card = each["card"]
        card = layout[each["node"]][card] if card is not None and each["node"] in layout else card
        found[each["node"], card, each["image"]] += each["replicas"]
    return [
        {"node": node, "card": card, "image": image, "replicas": replicas}
        for (node, card, image), replicas in found.items()
    ]
