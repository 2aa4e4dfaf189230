"""The list of images: search, filters, pages by key, and what is done with selected rows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from starlette.responses import Response

from algoplatform.console.visit import Pairs, Visit, page
from algoplatform.domain.errors import AlgoplatformError, BadRequest, Refused
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.model import reference_of
from algoplatform.domain.search import DEFAULT_PAGE_SIZE, MAX_IDS, Conditions, check_conditions

FILTERS: Final = ("namespace", "algoType", "factory", "eventType", "useableFlag")
CONDITIONS: Final = ("searchCondition", *FILTERS, "incidentId", "imageId")

Records = list[dict[str, Any]]


def pairs_of(asked: Mapping[str, Any]) -> Pairs:
    """Return conditions as parts of an address, without the place in the list."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in asked.items()}
    return [(name, item) for name, items in lists.items() if name not in ("after", "before") for item in items]


@page("/images")
async def show_list(visit: Visit) -> Response:
    """Show a page of the list."""
    asked = visit.asked(*CONDITIONS, "pageSize", "after", "before")
    status, faults, found, since = 200, {}, _Page([]), ""
    try:
        found = await _page(visit, check_conditions(asked))
        since = "" if visit.is_part else (await visit.runtime.recent.now()).isoformat()
    except Refused as error:
        status, faults = 422, {fault.field: fault.message for fault in error.faults}
    return visit.render(
        "list/rows.html" if visit.is_part else "list/list.html",
        status,
        asked=asked,
        pairs=pairs_of(asked),
        is_filtered=any(asked.get(name) for name in CONDITIONS),
        found=found,
        states=await _states(visit, found.records),
        faults=faults,
        since=since,
        filters=FILTERS,
    )


async def _states(visit: Visit, records: Records) -> dict[str, str] | None:
    """Return what is known of the images in their registries; None without registries, as nothing is ever known then."""
    if not visit.has_registries:
        return None
    return await visit.runtime.artifacts.states([record["imageId"] for record in records])


class _Page:
    """Records, and the references that the pages before and after them begin at, None at the ends."""

    def __init__(self, records: Records, *, has_previous: bool = False, has_next: bool = False) -> None:
        self.records = records
        self.previous = reference_of(records[0]) if records and has_previous else None
        self.following = reference_of(records[-1]) if records and has_next else None


async def _page(visit: Visit, conditions: Conditions) -> _Page:
    size = conditions.page_size or DEFAULT_PAGE_SIZE
    # One more than shown: it tells whether there is another page.
    found = await visit.runtime.searches.find(conditions.model_copy(update={"page_size": size + 1}))
    while found.left_out and size > 1:
        # Very large records: fewer on a page.
        size = max(1, size // 4)
        found = await visit.runtime.searches.find(conditions.model_copy(update={"page_size": size + 1}))
    records = [orjson.loads(record) for record in found.records]
    has_more = len(records) > size
    if conditions.before is not None:
        records = records[has_more:]
        has_next = await _has_any(visit, conditions, "after", records[-1:])
        return _Page(records, has_previous=has_more, has_next=has_next)
    records = records[:size]
    has_previous = conditions.after is not None and await _has_any(visit, conditions, "before", records[:1])
    return _Page(records, has_previous=has_previous, has_next=has_more)


async def _has_any(visit: Visit, conditions: Conditions, side: str, records: Records) -> bool:
    if not records:
        return False
    place = check_conditions({side: reference_of(records[0])})
    at = {"page_size": 1, "after": place.after, "before": place.before}
    return bool((await visit.runtime.searches.find(conditions.model_copy(update=at))).records)


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
        since = datetime.fromisoformat(visit.query_params.get("since", ""))
        number = await visit.runtime.recent.since(since)
    except (ValueError, TypeError):
        raise Refused([Fault("since", Code.FIELD, "since须为带时区的ISO 8601时间")]) from None
    if not number:
        return Response(status_code=204)
    return visit.page(visit.words("changed", n=f"{number:,}{'+' if number == visit.runtime.recent.most else ''}"))


@page("/images/delete", "POST")
async def delete_selected(visit: Visit) -> Response:
    """Ask, then delete the selected images and show the result for each."""
    form = await visit.sent()
    visit.require_writer()
    ids = list(dict.fromkeys(value for name, value in form if name == "imageId"))
    if not 1 <= len(ids) <= MAX_IDS:
        raise BadRequest(f"须选中1至{MAX_IDS}个镜像", malformed=False)
    found = await visit.runtime.searches.find(check_conditions({"imageId": ids}))
    known = {record["imageId"]: reference_of(record) for record in map(orjson.loads, found.records)}
    names = {image_id: known.get(image_id, image_id) for image_id in ids}
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
