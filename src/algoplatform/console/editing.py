"""The form of a new image and of a change, with a three-way merge where others have changed it meanwhile."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from starlette.responses import Response

from algoplatform.api.http.envelope import status_of
from algoplatform.console.form import CHOICES, FIELDS, GROUPS, UNITS, Form, comparable
from algoplatform.console.history import Shown, shown
from algoplatform.console.reading import Pairs, read_form
from algoplatform.console.rows import SHAPES
from algoplatform.console.site import Page, Visit
from algoplatform.domain.errors import AlgoplatformError, Forbidden, ImageNotFound, Refused, VersionConflict
from algoplatform.domain.faults import Fault
from algoplatform.domain.record.fields import check_id
from algoplatform.domain.record.model import REQUIRED_FIELDS, reference_of

_ATTEMPTS: Final = 3


class Draft:
    """A form with what is to be said about it."""

    def __init__(self, form: Form, image: Shown | None = None, *, copied: str = "") -> None:
        self.form = form
        self.image = image
        self.copied = copied
        self.error: AlgoplatformError | None = None
        self.faults: Sequence[Fault] = ()
        self.theirs: dict[str, str] = {}
        self.expired = self.gone = False

    def by_place(self) -> dict[str, list[Fault]]:
        """Return the faults by the id of the input that each is about."""
        places: dict[str, list[Fault]] = {}
        for fault in self.faults:
            places.setdefault(self.form.place_of(fault), []).append(fault)
        return places


def _keeps_form(page: Page) -> Page:
    """Mark a page that shows the form again where the login has expired."""
    page.keeps_form = True  # type: ignore[attr-defined]  # functions take attributes
    return page


def _render(visit: Visit, draft: Draft, status: int = 200) -> Response:
    return visit.render(
        "form.html",
        status,
        draft=draft,
        form=draft.form,
        image=draft.image,
        places=draft.by_place(),
        groups=GROUPS,
        shapes=SHAPES,
        units=UNITS,
        choices=CHOICES,
        required=REQUIRED_FIELDS,
    )


def _refused(visit: Visit, draft: Draft, error: AlgoplatformError) -> Response:
    draft.error, draft.faults = error, error.faults
    return _render(visit, draft, status_of(error))


def _pressed(form: Form, pairs: Pairs) -> bool:
    return any(form.press(value) for name, value in pairs if name == "do")


@_keeps_form
async def new(visit: Visit) -> Response:
    """Register an image, from nothing or like another."""
    if visit.request.method == "GET":
        visit.require_writer()
        return _render(visit, await _draft(visit))
    pairs = await read_form(visit)
    form = Form.sent(pairs)
    draft = Draft(form)
    if visit.caller is None:
        draft.expired = True
        return _render(visit, draft, 401)
    if _pressed(form, pairs):
        return _render(visit, draft)
    try:
        visit.require_writer()
        _check_rows(form)
        registered = await visit.runtime.images.register(visit.caller, form.record())
    except (Refused, Forbidden) as error:
        return _refused(visit, draft, error)
    return visit.redirect(f"/images/{registered.image_id}")


async def _draft(visit: Visit) -> Draft:
    like = visit.request.query_params.get("like")
    if like is None:
        return Draft(Form.of({"algoType": ""}))
    try:
        check_id(like)
    except ValueError:
        raise ImageNotFound(like) from None
    record = orjson.loads((await visit.runtime.images.get(like)).record)
    return Draft(Form.of(record), copied=reference_of(record))


def _check_rows(form: Form) -> None:
    if faults := form.faults():
        raise Refused(faults)


@_keeps_form
async def edit(visit: Visit) -> Response:
    """Change an image."""
    if visit.request.method == "GET":
        image, _ = await shown(visit)
        visit.runtime.access.require(visit.writer, image.namespace)
        return _render(visit, Draft(Form.of(image.record, image.version), image))
    pairs = await read_form(visit)
    form = Form.sent(pairs)
    try:
        image, _ = await shown(visit)
    except ImageNotFound:
        draft = Draft(_whole(form, {}))
        draft.gone = True
        return _render(visit, draft, 404)
    for _ in range(_ATTEMPTS):
        response = await _edited(visit, image, form, pairs)
        if response is not None:
            return response
        image, _ = await shown(visit)
    raise VersionConflict


async def _edited(visit: Visit, image: Shown, form: Form, pairs: Pairs) -> Response | None:
    """Write the form, or show it again; None if the image changed in this moment."""
    draft = Draft(_whole(form, image.record), image)
    if visit.caller is None:
        draft.expired = True
        return _render(visit, draft, 401)
    if _pressed(draft.form, pairs):
        return _render(visit, draft)
    if form.version and form.version != str(image.version):
        await _merge(visit, draft, image, form)
        draft.error = VersionConflict()
        return _render(visit, draft, 412)
    assert image.version is not None
    try:
        visit.runtime.access.require(visit.caller, image.namespace)
        _check_rows(form)
        changed = _changed(form, image.record)
        if changed:
            await visit.runtime.images.update(visit.caller, _required(form, image.record) | changed, [image.version])
    except VersionConflict:
        return None
    except (Refused, Forbidden) as error:
        return _refused(visit, draft, error)
    return visit.redirect(f"/images/{image.id}")


def _whole(form: Form, record: dict[str, Any]) -> Form:
    """Return the form with the stored values of what was not sent."""
    whole = Form.of(record)
    for name in FIELDS:
        if name in form.rows or name in form.values:
            whole.rows.pop(name, None)
            whole.values.pop(name, None)
    return Form(whole.values | form.values, whole.rows | form.rows, form.version)


def _changed(form: Form, record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in form.record().items()
        if comparable(name, value) != comparable(name, record.get(name))
    }


def _required(form: Form, record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("imageId", *REQUIRED_FIELDS)}


async def _merge(visit: Visit, draft: Draft, image: Shown, form: Form) -> None:
    """Tell what others changed since the form was opened; own changes stay, other fields follow theirs."""
    number = int(form.version) if form.version.isdecimal() and len(form.version) < 18 else 0
    base = await visit.runtime.revisions.at_version(image.id, number) or {}
    for name in FIELDS:
        old, now = comparable(name, base.get(name)), comparable(name, image.record.get(name))
        if old == now and base:
            continue
        mine = form.text(name)
        if mine is None or comparable(name, mine) == old:
            stored = image.record.get(name)
            draft.form.put(name, "" if stored is None else str(stored))
        if base or comparable(name, mine) != now:
            draft.theirs[name] = now or visit.words("blank")
    draft.form.version = str(image.version)
