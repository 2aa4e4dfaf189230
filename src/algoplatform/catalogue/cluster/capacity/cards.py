"""The cards of a request, for drawing what a plan places on them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from algoplatform.catalogue.cluster.capacity.nodes import Reading
from algoplatform.catalogue.cluster.capacity.problem import reading_of
from algoplatform.catalogue.cluster.capacity.sharing import Sharing
from algoplatform.domain.plan.model import PlanRequest, RunningRow
from algoplatform.manifests.gpu.profiles import SHIPPED
from algoplatform.manifests.options import Options

# The rows of `placements` by node and card, None without a GPU; missing keys yield an empty list.
Placements: TypeAlias = dict[str, dict[int | None, list[dict[str, Any]]]]


@dataclass(slots=True)
class CardUse:
    """The memory of a card, and how much of it running pods hold, both in MiB as the profile rounds them."""

    memory: int = 0
    running: int = 0


def cards_of(request: PlanRequest) -> dict[str, list[CardUse]]:
    """Return the cards of each node that takes pods, broken ones with 0 MiB; empty if the profile is not a shipped one.

    Running pods that name an image count as 0 MiB, as its record is not read here.
    """
    options = Options()
    profile = SHIPPED.get(request.profile or options.profile)
    if profile is None:
        return {}
    return cards_in(reading_of(request, Sharing(profile, options)), request.running)


def cards_in(reading: Reading, running: Sequence[RunningRow]) -> dict[str, list[CardUse]]:
    """Return the cards of each node of a cluster that has been read."""
    cluster, layout = reading.cluster, reading.layout
    found: dict[str, list[CardUse]] = {}
    for node in cluster.nodes:
        place = layout.get(node.name, range(len(node.cards)))
        found[node.name] = [CardUse() for _ in range(max(place, default=-1) + 1)]
        for unit, card in zip(place, node.cards, strict=True):
            found[node.name][unit].memory += card.memory
    for held in cluster.held:
        if held.card is not None:
            place = layout.get(held.node, range(len(found[held.node])))
            found[held.node][place[held.card]].running += held.each.gpu_memory * held.pods
    for row in running:
        if row.card is not None and row.node in found:
            found[row.node][row.card].running += row.gpu_memory * row.replicas
    return found


def placed_by_card(found: Mapping[str, Any]) -> Placements:
    """Group the placements of an answer's `res` by node and card, in their order."""
    placed: Placements = defaultdict(lambda: defaultdict(list))
    for row in found["placements"]:
        placed[row["node"]][row["card"]].append(row)
    return placed
