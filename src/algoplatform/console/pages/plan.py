"""The page that plans cameras on cards; the address holds the input, except for a pasted output of kubectl."""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from starlette.responses import RedirectResponse, Response

from algoplatform.api.http.envelope import status_of
from algoplatform.api.http.urlencoded import fields_of
from algoplatform.catalogue.cluster.capacity.cards import CardUse, cards_in, placed_by_card
from algoplatform.catalogue.cluster.capacity.problem import Asked
from algoplatform.catalogue.parsing import parse_large
from algoplatform.console.form import by_place
from algoplatform.console.plan_form import COLUMNS, PlanForm
from algoplatform.console.visit import Visit, page
from algoplatform.domain.errors import AlgoplatformError, BadRequest, Refused
from algoplatform.domain.faults import Code, Fault

# Proxies refuse longer addresses, many at 8 KiB.
_MOST_ADDRESS: Final = 7_000
# Characters of a pasted text that come back with the page.
_MOST_KEPT: Final = 1024 * 1024
_BLOCK: Final = 64 * 1024
_MOST_CARDS: Final = 500

Card = tuple[str, int | None, CardUse | None, int, list[dict[str, Any]]]


@page("/plan", "GET", "POST", keeps_form=True)
async def plan(visit: Visit) -> Response:
    """Plan by a form. A form is sent by POST; it leads to the address that holds it, if one can."""
    is_sent = visit.method == "POST"
    form = PlanForm.read(await visit.sent(large=True) if is_sent else fields_of(visit.scope["query_string"]))
    if visit.caller is None:
        return _show(visit, form, 401, notice="expired")
    if form.press() or (not form.drop_blank() and not is_sent):
        return _show(visit, form)
    try:
        with visit.app.state.plans.taken():
            asked = await _checked(visit, form)
            address = f"{visit.to('/plan')}?{form.query()}"
            if is_sent and not form.kubectl and len(address) <= _MOST_ADDRESS:
                return RedirectResponse(f"{address}#result", 303)
            found = await visit.runtime.plans.plan(asked)
            cards = await asyncio.to_thread(cards_in, asked.reading, asked.request.running)
    except AlgoplatformError as error:
        return _show(visit, form, status_of(error), error=error)
    used = list(_cards(found, cards))
    return _show(
        visit,
        form,
        found=found,
        ids=await visit.runtime.images.identify([row["image"] for row in found["demand"]]),
        cards=used[:_MOST_CARDS],
        more=len(used) - _MOST_CARDS,
        reserve=0 if asked.sharing.has_units else asked.request.reserve.gpu_memory_percent,
        address="" if is_sent else address,
    )


def _show(visit: Visit, form: PlanForm, status: int = 200, **context: Any) -> Response:
    known = {"notice": "", "error": None, "found": None} | context
    places = by_place(known["error"], form.place_of)
    profiles = visit.runtime.site.profiles
    is_kept = len(form.kubectl) <= _MOST_KEPT
    # Faults in what the form holds, whatever the interface calls them.
    status = 422 if status == 400 else status
    return visit.render(
        "plan.html", status, form=form, columns=COLUMNS, places=places, profiles=profiles, is_kept=is_kept, **known
    )


async def _checked(visit: Visit, form: PlanForm) -> Asked:
    """Check the input; raises Refused with every fault."""
    check = visit.runtime.plans.check
    if not form.kubectl:
        return await asyncio.to_thread(lambda: check(form.body()))
    content = form.kubectl.encode()
    blocks = deque(content[at : at + _BLOCK] for at in range(0, len(content), _BLOCK))
    try:
        return await parse_large(blocks, lambda pasted: check(form.body(pasted)))
    except BadRequest as error:
        raise Refused([Fault("kubectl", Code.FIELD, error.message)]) from None


def _cards(found: Mapping[str, Any], cards: Mapping[str, Sequence[CardUse]]) -> Iterator[Card]:
    """Yield node, card, its use, MiB that are planned on it, and the placements; nodes that are used come first."""
    each = {row["image"]: row["each"]["gpuMemory"] for row in found["demand"]}
    placed = placed_by_card(found)
    for node in (*placed, *(name for name in cards if name not in placed)):
        here = placed[node]
        for at, card in enumerate(cards.get(node, ())):
            yield node, at, card, sum(each[row["image"]] * row["replicas"] for row in here[at]), here[at]
        if here[None] or not cards.get(node):
            yield node, None, None, 0, here[None]
