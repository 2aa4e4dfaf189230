"""The list of images: search, filters, pages by key, and what is done with selected rows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from starlette.responses import Response

from algoplatform.api.http.request import parse_query
from algoplatform.console.reading import read_form
from algoplatform.console.site import Visit
from algoplatform.domain.errors import AlgoplatformError, BadRequest, Refused
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.model import reference_of
from algoplatform.domain.search import DEFAULT_PAGE_SIZE, MAX_IDS, Conditions, check_conditions

FILTERS: Final = ("namespace", "algoType", "factory", "eventType", "useableFlag")
CONDITIONS: Final = ("searchCondition", *FILTERS, "incidentId", "imageId")
_PLACES: Final = ("pageSize", "after", "before")


def asked_of(visit: Visit, *names: str) -> dict[str, Any]:
    """Return the conditions in the address; other names are ignored."""
    given = parse_query(visit.request.scope["query_string"], "imageId")
    return {name: value for name, value in given.items() if name in (*CONDITIONS, *names)}


def pairs_of(asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return conditions as parts of an address, without the place in the list."""
    pairs: list[tuple[str, str]] = []
    for name, value in asked.items():
        if name not in ("after", "before"):
            pairs += [(name, item) for item in (value if isinstance(value, list) else [value])]
    return pairs


async def show_list(visit: Visit) -> Response:
    """Show a page of the list."""
    asked = asked_of(visit, *_PLACES)
    try:
        conditions = check_conditions(asked)
    except Refused as error:
        faults = {fault.field: fault.message for fault in error.faults}
        return _listed(visit, asked, [], (None, None), faults=faults, status=422)
    records, has_previous, has_next = await _page(visit, conditions)
    previous = reference_of(records[0]) if records and has_previous else None
    following = reference_of(records[-1]) if records and has_next else None
    since = None if visit.is_part else await visit.runtime.recent.now()
    return _listed(visit, asked, records, (previous, following), since=since)


def _listed(
    visit: Visit,
    asked: Mapping[str, Any],
    records: list[dict[str, Any]],
    ends: tuple[str | None, str | None],
    *,
    faults: Mapping[str, str] | None = None,
    since: datetime | None = None,
    status: int = 200,
) -> Response:
    return visit.render(
        "rows.html" if visit.is_part else "list.html",
        status,
        asked=asked,
        pairs=pairs_of(asked),
        is_filtered=any(asked.get(name) for name in CONDITIONS),
        records=records,
        previous=ends[0],
        following=ends[1],
        faults=faults or {},
        since=since.isoformat() if since else "",
        filters=FILTERS,
    )


async def _page(visit: Visit, conditions: Conditions) -> tuple[list[dict[str, Any]], bool, bool]:
    """Return the records of a page, and whether there are others before and after it."""
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
        return records, has_more, await _has_any(visit, conditions, "after", records[-1:])
    records = records[:size]
    has_previous = conditions.after is not None and await _has_any(visit, conditions, "before", records[:1])
    return records, has_previous, has_more


async def _has_any(visit: Visit, conditions: Conditions, side: str, records: list[dict[str, Any]]) -> bool:
    if not records:
        return False
    place = check_conditions({side: reference_of(records[0])})
    at = {"page_size": 1, "after": place.after, "before": place.before}
    return bool((await visit.runtime.searches.find(conditions.model_copy(update=at))).records)


async def count(visit: Visit) -> Response:
    """Say how many images meet the conditions."""
    conditions = check_conditions(asked_of(visit) | {"page": "1", "pageSize": "1"})
    found = await visit.runtime.searches.find(conditions)
    return visit.page(visit.words("count", n=f"{found.total:,}"))


async def changes(visit: Visit) -> Response:
    """Say how many images have changed since a time; without any, 204."""
    try:
        since = datetime.fromisoformat(visit.request.query_params.get("since", ""))
        number = await visit.runtime.recent.since(since)
    except (ValueError, TypeError):
        raise Refused([Fault("since", Code.FIELD, "since须为带时区的ISO 8601时间")]) from None
    if not number:
        return Response(status_code=204)
    return visit.page(visit.words("changed", n=f"{number:,}{'+' if number == visit.runtime.recent.most else ''}"))


async def delete_selected(visit: Visit) -> Response:
    """Ask, then delete the selected images and show the result for each."""
    form = await read_form(visit)
    visit.require_writer()
    ids = list(dict.fromkeys(value for name, value in form if name == "imageId"))
    if not 1 <= len(ids) <= MAX_IDS:
        raise BadRequest(f"须选中1至{MAX_IDS}个镜像", malformed=False)
    names = await _names(visit, ids)
    if ("confirm", "1") not in form:
        return visit.render("bulk.html", names=names, results=None)
    results = {image_id: await _deleted(visit, image_id) for image_id in ids}
    return visit.render("bulk.html", names=names, results=results)


async def _names(visit: Visit, ids: list[str]) -> dict[str, str]:
    conditions = check_conditions({"imageId": ids})
    found = await visit.runtime.searches.find(conditions)
    records = [orjson.loads(record) for record in found.records]
    known = {record["imageId"]: reference_of(record) for record in records}
    return {image_id: known.get(image_id, image_id) for image_id in ids}


async def _deleted(visit: Visit, image_id: str) -> str | None:
    """Delete an image; returns what speaks against it."""
    try:
        await visit.runtime.images.remove(visit.writer, image_id)
    except AlgoplatformError as error:
        return error.message
    return None
