"""The use case of planning: how many replicas the cameras need, on which cards, and what does not fit."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from algoplatform.catalogue.cluster.capacity.nodes import Layout
from algoplatform.catalogue.cluster.capacity.problem import Asked, Problem, assemble, read
from algoplatform.catalogue.cluster.capacity.sharing import Sharing
from algoplatform.catalogue.cluster.graph import Closure, Graphs
from algoplatform.catalogue.cluster.site import Site
from algoplatform.domain.plan.check import check_plan_request
from algoplatform.domain.plan.model import MAX_IMAGES, PlanRequest
from algoplatform.domain.record.model import Image
from algoplatform.domain.requests import together
from algoplatform.manifests.gpu.profiles import Profile
from algoplatform.manifests.options import Options
from algoplatform.planning.capacity.plan import plan
from algoplatform.planning.capacity.reasons import Names

# Images of one plan, including all dependencies.
MAX_PLANNED: Final = 2 * MAX_IMAGES


class Plans:
    """Plans on which nodes and cards the images of cameras run; images are named by id or reference."""

    def __init__(self, graphs: Graphs, site: Site) -> None:
        self._graphs = graphs
        self._site = site

    async def plan(self, asked: object) -> dict[str, Any]:
        """Return the `res` of the answer to a request body, or to what `check` returned for it.

        Works in threads. Raises Refused (202) with every fault of the body, ImageNotFound with all unknown images,
        and Refused (-422) with all that the records make impossible.
        """
        checked = asked if isinstance(asked, Asked) else await asyncio.to_thread(self.check, asked)
        closure, others = await self._records(checked.request)
        return await asyncio.to_thread(_planned, checked, closure, others)

    def check(self, body: object) -> Asked:
        """Check a body, and read its nodes; takes seconds for a large output of kubectl. Raises Refused (202)."""
        request, options = self._checked(body)
        sharing = Sharing(self._site.profiles[options.profile], options, request.reserve.gpu_memory_percent)
        return read(request, sharing)

    def _checked(self, body: object) -> tuple[PlanRequest, Options]:
        profile = body.get("profile") if isinstance(body, dict) else None
        given = {"profile": profile} if type(profile) is str else {}
        return together(lambda: check_plan_request(body), lambda: self._site.options(given))

    async def _records(self, request: PlanRequest) -> tuple[Closure, dict[str, Image]]:
        """Return the closure of what is planned, and the images of running pods by their names in the request.

        Raises ImageNotFound with all images that the request names and that are not registered.
        """
        ran = list(dict.fromkeys(row.image for row in request.running if row.image is not None))
        await self._graphs.require(list(dict.fromkeys((*request.images, *ran, *request.overrides))))
        closure = await self._graphs.closure(request.images, limit=MAX_PLANNED)
        if not ran:
            return closure, {}
        return closure, (await self._graphs.closure(ran, limit=MAX_IMAGES, dependencies=False)).by_name


def _planned(asked: Asked, closure: Closure, others: Mapping[str, Image]) -> dict[str, Any]:
    problem = assemble(asked, closure, others)
    names = _names(asked.sharing.profile)
    reserve = asked.sharing.reserve(asked.request.reserve)
    planned = plan(problem.demands, problem.cluster, reserve, asked.request.simulate, names).document()
    return {
        "fits": planned["fits"],
        "demand": list(_demand(problem)),
        "totals": planned["totals"],
        "placements": _on_cards(planned["placements"], asked.reading.layout),
        "unplaced": planned["unplaced"],
        "addNodes": planned["addNodes"],
        "scheduler": planned["scheduler"],
        "assumptions": problem.assumptions,
    }


def _names(profile: Profile) -> Names:
    """Return the resources that the scheduler names when a card is too small or full."""
    count = profile.count or profile.whole_cards or next(iter(profile.slices), None) or profile.memory or "GPU"
    return Names(gpu_memory=profile.memory or count, shares=count)


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
    """Return the placements on cards instead of on units of cards."""
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
