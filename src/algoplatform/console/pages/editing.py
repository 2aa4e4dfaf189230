"""The form of a new image and of a change, with a three-way merge where others have changed it meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.responses import Response

from algoplatform.api.http.envelope import status_of
from algoplatform.api.http.streams import while_connected
from algoplatform.console.form import FIELDS, Form, by_place, comparable
from algoplatform.console.pages.record import IMAGE, Shown, shown
from algoplatform.console.visit import Visit, page
from algoplatform.domain.errors import Forbidden, ImageNotFound, Refused, VersionConflict
from algoplatform.domain.record.model import REQUIRED_FIELDS
from algoplatform.domain.record.partial import id_of

# Writes a form and returns the id of the image.
Write = Callable[[], Awaitable[str]]
# What the template shows where it is given.
_GIVEN: Final = ("image", "copied", "source", "left_out", "notice", "theirs", "error")


def _show(visit: Visit, form: Form, status: int = 200, **given: Any) -> Response:
    """Show the form: `notice` is what happened to it, `theirs` what others have changed.

    `source` is the image of a registry that it was drafted from, `left_out` what a record cannot hold of that.
    """
    context = dict.fromkeys(_GIVEN) | given
    places = by_place(context["error"], form.place_of)
    return visit.render("image/form.html", status, form=form, places=places, **context)


async def _posted(visit: Visit, form: Form, write: Write, image: Shown | None = None) -> Response:
    """Write a form and lead to the record; show it again if a button of a list was pressed, or it cannot be written."""
    if visit.caller is None:
        return _show(visit, form, 401, image=image, notice="expired")
    if form.press():
        return _show(visit, form, image=image)
    try:
        if faults := form.faults():
            raise Refused(faults)
        return visit.redirect(f"/images/{await write()}")
    except (Refused, Forbidden) as error:
        return _show(visit, form, status_of(error), image=image, error=error)


@page("/images/new", open_to="writers")
async def show_new(visit: Visit) -> Response:
    """Show the form of a new image, from nothing, like another, or drafted."""
    like = visit.query_params.get("like")
    if like is None:
        return await _drafted(visit, visit.query_params.get("from", "").strip())
    if not id_of(like):
        raise ImageNotFound(like)
    image = await shown(visit, like)
    return _show(visit, Form.of(image.record), copied=image.name)


@page("/images/new", "POST", keeps_form=True)
async def new(visit: Visit) -> Response:
    form = Form.sent(await visit.sent())

    async def write() -> str:
        visit.require_writer()
        return (await visit.runtime.images.register(visit.writer, form.record())).image_id

    return await _posted(visit, form, write)


async def _drafted(visit: Visit, source: str) -> Response:
    """Show the form of an image that is in a registry, empty if none is named."""
    if not source:
        return _show(visit, Form.of({}))
    try:
        async with while_connected(visit):
            draft = await visit.runtime.drafts.draft({"image": source})
    except Refused as error:
        name, _, tag = source.rpartition(":")
        # In host:5000/x, the number is a port.
        given = {"imageName": name, "imageTag": tag} if "/" not in tag else {"imageName": source}
        return _show(visit, Form.of(given), 422, source=source, error=error)
    return _show(visit, Form.of(draft.record), source=source, left_out=draft.left_out, notice="drafted")


@page(f"{IMAGE}/edit")
async def show_edit(visit: Visit) -> Response:
    image = await shown(visit)
    visit.runtime.access.require(visit.writer, image.namespace)
    return _show(visit, Form.of(image.record, image.version), image=image)


@page(f"{IMAGE}/edit", "POST", keeps_form=True)
async def edit(visit: Visit) -> Response:
    sent = Form.sent(await visit.sent())
    try:
        try:
            return await _edited(visit, await shown(visit), sent)
        except VersionConflict:
            return await _merged(visit, await shown(visit), sent)
    except ImageNotFound:
        return _show(visit, sent.over({}), 404, notice="gone")


async def _edited(visit: Visit, image: Shown, sent: Form) -> Response:
    async def write() -> str:
        visit.runtime.access.require(visit.writer, image.namespace)
        if sent.version not in ("", str(image.version)):
            raise VersionConflict
        if changed := sent.changed(image.record):
            required = {name: image.record[name] for name in ("imageId", *REQUIRED_FIELDS)}
            await visit.runtime.images.update(visit.writer, required | changed, [image.version])
        return image.id

    return await _posted(visit, sent.over(image.record), write, image)


async def _merged(visit: Visit, image: Shown, sent: Form) -> Response:
    """Show what others changed since the form was opened; own changes stay, other fields of the form follow theirs."""
    form, theirs = sent.over(image.record), {}
    number = int(sent.version) if sent.version.isdecimal() and len(sent.version) < 18 else 0
    base: dict[str, Any] = await visit.runtime.revisions.at_version(image.id, number) or {}
    for name in FIELDS:
        old, mine, now = (comparable(name, each) for each in (base.get(name), sent.text(name), image.record.get(name)))
        if old == now and base:
            continue
        if mine == old:
            form.put(name, image.record.get(name))
        if base or mine != now:
            theirs[name] = now or visit.words("blank")
    form.version = str(image.version)
    return _show(visit, form, 412, image=image, notice="conflict", theirs=theirs)
