"""The list of images: search, filters, pages by key, and what is done with selected rows."""

from datetime import datetime
from typing import Final

import orjson
from starlette.responses import Response

from algoplatform.catalogue.listing import Listed, listed
from algoplatform.console.visit import Visit, page
from algoplatform.domain.errors import AlgoplatformError, BadRequest, Refused
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.model import reference_of
from algoplatform.domain.search import MAX_IDS, check_conditions

FILTERS: Final = ("namespace", "algoType", "factory", "eventType", "useableFlag")
CONDITIONS: Final = ("searchCondition", *FILTERS, "incidentId", "imageId")


@page("/images")
async def show_list(visit: Visit) -> Response:
    """Show a page of the list."""
    asked = visit.asked(*CONDITIONS, "pageSize", "after", "before")
    status, faults, found, since = 200, {}, Listed([]), ""
    try:
        found = await listed(visit.runtime.searches, check_conditions(asked))
        since = "" if visit.is_part else (await visit.runtime.recent.now()).isoformat()
    except Refused as error:
        status, faults = 422, {fault.field: fault.message for fault in error.faults}
    ids = [record["imageId"] for record in found.records]
    # Without registries nothing is ever known of the images in them.
    states = await visit.runtime.artifacts.states(ids) if visit.has_registries else None
    return visit.render(
        "list/rows.html" if visit.is_part else "list/list.html",
        status,
        asked=asked,
        # Without the place in the list.
        query={name: value for name, value in asked.items() if name not in ("after", "before")},
        found=found,
        states=states,
        faults=faults,
        since=since,
        filters=FILTERS,
    )


@page("/images/count")
async def count(visit: Visit) -> Response:
    """Say how many images meet the conditions."""
    conditions = check_conditions(visit.asked(*CONDITIONS) | {"page": "1", "pageSize": "1"})
    found = await visit.runtime.searches.find(conditions)
    return visit.page(visit.words("count", n=f"{found.total:,}"))


@page("/images/changes")
async def changes(visit: Visit) -> Response:
    """Say how many images have changed since a time; without any, 204."""
    try:
        number = await visit.runtime.recent.since(datetime.fromisoformat(visit.query_params.get("since", "")))
    except (ValueError, TypeError):
        raise Refused([Fault("since", Code.FIELD, "since须为带时区的ISO 8601时间")]) from None
    if not number:
        return Response(status_code=204)
    return visit.page(visit.words("changed", n=f"{number:,}{'+' if number == visit.runtime.recent.most else ''}"))


@page("/images/delete", "POST", open_to="writers")
async def delete_selected(visit: Visit) -> Response:
    """Ask, then delete the selected images and show the result for each."""
    form = await visit.sent()
    ids = list(dict.fromkeys(value for name, value in form if name == "imageId"))
    if not 1 <= len(ids) <= MAX_IDS:
        raise BadRequest(f"须选中1至{MAX_IDS}个镜像", malformed=False)
    found = await visit.runtime.searches.find(check_conditions({"imageId": ids}))
    names = {image_id: image_id for image_id in ids}
    names |= {record["imageId"]: reference_of(record) for record in map(orjson.loads, found.records)}
    is_sure = ("confirm", "1") in form
    results = {image_id: await _deleted(visit, image_id) for image_id in ids} if is_sure else None
    return visit.render("list/delete.html", names=names, results=results)


async def _deleted(visit: Visit, image_id: str) -> str | None:
    """Delete an image; returns what speaks against it."""
    try:
        await visit.runtime.images.remove(visit.writer, image_id)
    except AlgoplatformError as error:
        return error.message
    return None
