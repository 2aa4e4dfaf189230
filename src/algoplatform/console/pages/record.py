"""Pages of one image: the record, its history, and deleting it."""

from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson
from starlette.responses import Response

from algoplatform.api.http.streams import while_connected
from algoplatform.catalogue.cluster.artifacts import document_of
from algoplatform.console.rows import SHAPES
from algoplatform.console.visit import Visit, page
from algoplatform.domain.access import covers
from algoplatform.domain.errors import ImageInUse, ImageNotFound, NeverVerified
from algoplatform.domain.grammar.reference import ImageName
from algoplatform.domain.record.model import reference_of
from algoplatform.domain.requests import check_paging
from algoplatform.domain.revision import Revision

IMAGE = "/images/{image_id:id}"


class Shown:
    """An image as pages show it: its record, version, time, and what the visitor may do with it."""

    def __init__(self, visit: Visit, record: str | bytes, version: int, at: datetime | None = None) -> None:
        self.record: dict[str, Any] = orjson.loads(record)
        self.id: str = self.record["imageId"]
        self.path = f"/images/{self.id}"
        self.name = reference_of(self.record)
        self.version = version
        self.at = at
        self.namespace = ImageName(self.record["imageName"]).namespace
        self.may_change = covers(visit.namespaces, self.namespace)


async def shown(visit: Visit, image_id: str = "") -> Shown:
    """Return an image, by default that of the address; raises ImageNotFound."""
    stored = await visit.runtime.images.get(image_id or visit.image_id)
    return Shown(visit, stored.record, stored.version, stored.updated_at)


@page(IMAGE)
async def show_record(visit: Visit) -> Response:
    """Show a record; a deleted one is not found, but its history is."""
    try:
        image = await shown(visit)
    except ImageNotFound:
        # Raises it again if there never was one.
        await visit.runtime.revisions.history(visit.image_id, 1, 1)
        history = f"/images/{visit.image_id}/history"
        return visit.message(404, "not_found_title", visit.words("deleted_note"), to=history, key="see_history")
    return visit.render(
        "image/record.html",
        image=image,
        items={name: shape.split(image.record[name] or "") for name, shape in SHAPES.items()},
        neighbours=await visit.runtime.images.neighbours(image.id),
        findings=await visit.runtime.lint.one(image.record),
        artifact=await _artifact(visit, image),
    )


async def _artifact(visit: Visit, image: Shown) -> dict[str, Any] | None:
    """Return what is known of an image in its registry, with the time of the check."""
    try:
        found = await visit.runtime.artifacts.artifact(image.id)
    except NeverVerified:
        return None
    state = (await visit.runtime.artifacts.states([image.id])).get(image.id, found.state)
    return document_of(found) | {"state": state, "at": found.checked_at}


@page(f"{IMAGE}/verify", "POST")
async def verify(visit: Visit) -> Response:
    """Look an image up in its registry now."""
    await visit.sent()
    async with while_connected(visit):
        await visit.runtime.artifacts.verify(visit.writer, visit.image_id)
    return visit.redirect(f"/images/{visit.image_id}#artifact")


@page(f"{IMAGE}/history")
async def show_history(visit: Visit) -> Response:
    """Show the versions of an image, each with the fields that it changed."""
    number, size = check_paging(visit.asked("page", "pageSize"))
    revisions, total = await visit.runtime.revisions.history(visit.image_id, number, size)
    # Alone it is never too large to come with its records.
    [latest], _ = await visit.runtime.revisions.history(visit.image_id, 1, 1)
    complete = visit.runtime.revisions.with_records(visit.image_id, revisions)
    return visit.render(
        "image/history.html",
        image=Shown(visit, latest.after or "", latest.version),
        revisions=[(revision, differences(revision)) async for revision in complete],
        page=number,
        size=size,
        total=total,
    )


def differences(revision: Revision) -> list[tuple[str, Any, Any]]:
    """Return the fields that a revision changed, each with its value before and after."""
    before, after = orjson.loads(revision.before or "{}"), orjson.loads(revision.after or "{}")
    hidden = ("imageId",) if before else ("imageId", "deleteFlag")
    changes = ((name, before.get(name), value) for name, value in after.items() if name not in hidden)
    return [(name, old, new) for name, old, new in changes if old != new]


@page(f"{IMAGE}/restore", "POST")
async def restore(visit: Visit) -> Response:
    """Restore a version, or undelete the image."""
    data = {name: value for name, value in await visit.sent() if name == "version" and value}
    await visit.runtime.revisions.restore(visit.writer, visit.image_id, data, None)
    return visit.redirect(f"/images/{visit.image_id}")


@page(f"{IMAGE}/delete", "GET", "POST", open_to="writers")
async def delete(visit: Visit) -> Response:
    """Show what depends on an image, or the button that deletes it."""
    image = await shown(visit)
    visit.runtime.access.require(visit.writer, image.namespace)
    if visit.method == "POST":
        await visit.sent()
        with suppress(ImageInUse):
            await visit.runtime.images.remove(visit.writer, image.id)
            return visit.redirect(f"{image.path}/history")
    status = 409 if visit.method == "POST" else 200
    neighbours = await visit.runtime.images.neighbours(image.id)
    return visit.render("image/delete.html", status, image=image, neighbours=neighbours)
