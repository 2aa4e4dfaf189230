"""Pages of one image: the record, its history, and deleting it."""

from typing import Any, Final

import orjson
from starlette.responses import Response

from algoplatform.api.docs.schemas import check_paging
from algoplatform.api.http.request import parse_query
from algoplatform.console.form import CHOICES, GROUPS, UNITS
from algoplatform.console.reading import read_form
from algoplatform.console.rows import SHAPES
from algoplatform.console.site import Visit
from algoplatform.domain.errors import ImageInUse, ImageNotFound
from algoplatform.domain.record.model import reference_of
from algoplatform.domain.record.partial import read
from algoplatform.domain.revision import Revision

_HIDDEN: Final = ("imageId",)


class Shown:
    """An image as pages show it: its record, version, and what the caller may do with it."""

    def __init__(self, visit: Visit, record: dict[str, Any], version: int | None = None) -> None:
        self.record = record
        self.id: str = record["imageId"]
        self.name = reference_of(record)
        self.version = version
        parsed = read(record).name
        self.namespace = parsed.namespace if parsed else None
        self.may_change = visit.may(self.namespace)


async def shown(visit: Visit) -> tuple[Shown, Any]:
    """Return the image of an address; raises ImageNotFound."""
    stored = await visit.runtime.images.get(visit.image_id)
    return Shown(visit, orjson.loads(stored.record), stored.version), stored


async def show_record(visit: Visit) -> Response:
    """Show a record; a deleted one is not found, but its history is."""
    try:
        image, stored = await shown(visit)
    except ImageNotFound as error:
        return await _not_found(visit, error)
    neighbours = await visit.runtime.images.neighbours(image.id)
    items = {name: shape.split(image.record[name] or "") for name, shape in SHAPES.items()}
    return visit.render(
        "record.html",
        image=image,
        at=stored.updated_at,
        neighbours=neighbours,
        findings=await visit.runtime.lint.one(image.record),
        groups=GROUPS,
        items=items,
        units=UNITS,
        choices=CHOICES,
        shapes=SHAPES,
    )


async def _not_found(visit: Visit, error: ImageNotFound) -> Response:
    try:
        await visit.runtime.revisions.history(visit.image_id, 1, 1)
    except ImageNotFound:
        raise error from None
    return visit.render("gone.html", 404, image_id=visit.image_id)


async def show_history(visit: Visit) -> Response:
    """Show the versions of an image, each with the fields that it changed."""
    given = parse_query(visit.request.scope["query_string"])
    page, size = check_paging({name: value for name, value in given.items() if name in ("page", "pageSize")})
    revisions, total = await visit.runtime.revisions.history(visit.image_id, page, size)
    latest = revisions[0] if page == 1 else None
    if latest is None or latest.after is None:
        # Alone it is never too large to come with its records.
        [latest], _ = await visit.runtime.revisions.history(visit.image_id, 1, 1)
    record = orjson.loads(latest.after or "")
    image = Shown(visit, record, latest.version)
    complete = visit.runtime.revisions.with_records(visit.image_id, revisions)
    return visit.render(
        "history.html",
        image=image,
        is_live=record["deleteFlag"] == "0",
        revisions=[(revision, differences(revision)) async for revision in complete],
        latest=latest.version,
        page=page,
        size=size,
        pages=-(-total // size),
    )


def differences(revision: Revision) -> list[tuple[str, Any, Any]]:
    """Return the fields that a revision changed, each with its value before and after."""
    before = orjson.loads(revision.before) if revision.before else {}
    after = orjson.loads(revision.after or "{}")
    return [
        (name, before.get(name), value)
        for name, value in after.items()
        if name not in _HIDDEN and before.get(name) != value and not (not before and name == "deleteFlag")
    ]


async def restore(visit: Visit) -> Response:
    """Restore a version, or undelete the image."""
    form = dict(await read_form(visit))
    data = {"version": form["version"]} if form.get("version") else {}
    await visit.runtime.revisions.restore(visit.writer, visit.image_id, data, None)
    return visit.redirect(f"/images/{visit.image_id}")


async def delete(visit: Visit) -> Response:
    """Show what depends on an image, or the button that deletes it."""
    visit.require_writer()
    status = 200
    if visit.request.method == "POST":
        await read_form(visit)
        try:
            await visit.runtime.images.remove(visit.writer, visit.image_id)
        except ImageInUse:
            status = 409
        else:
            return visit.redirect(f"/images/{visit.image_id}/history")
    image, _ = await shown(visit)
    visit.runtime.access.require(visit.writer, image.namespace)
    neighbours = await visit.runtime.images.neighbours(image.id)
    return visit.render("delete.html", status, image=image, neighbours=neighbours)
