"""The use cases for single images.

Each takes a connection. A write is a single statement, and so a transaction of its own, or part of the
caller's transaction if there is an Idempotency-Key. Registers without a connection are batched: several
share a transaction.
"""

from collections.abc import Sequence, Set
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

from algoplatform.domain.access import AccessPolicy, Caller, covers, refuse_namespace
from algoplatform.domain.errors import ImageInUse, ImageNotFound, Refused, VersionConflict
from algoplatform.domain.faults import Fault
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.image import (
    Checked,
    Rules,
    absent_frames,
    check_registration,
    check_update,
    exists_fault,
    frame_fault,
    identity_fault,
    in_field_order,
    missing_fault,
    missing_faults,
)
from algoplatform.domain.record.partial import id_of, read
from algoplatform.storage.images import single
from algoplatform.storage.images.register import Registrar, Registration, insert_alone
from algoplatform.storage.images.single import Stored, Written
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.postgres.transactions import retried


class Images:
    """Register, read, update and delete images."""

    def __init__(self, rules: Rules, access: AccessPolicy, database: Database, registrar: Registrar) -> None:
        self._rules = rules
        self._access = access
        self._database = database
        self._registrar = registrar

    async def register(self, connection: "Connection | None", caller: Caller, data: Any) -> tuple[str, int]:
        """Register an image from parsed JSON, return its id and version; raises Refused with all faults."""
        checked = check_registration(data, self._rules)
        image = checked.image
        if image is None:
            async with self._database.connection() if connection is None else nullcontext(connection) as connection:
                faults = await _faults_of_new(connection, checked, data)
            raise Refused(faults, more=checked.more, at_least=checked.cut)
        self._access.require(caller, image.image_name.namespace)
        new = Registration(caller, image, uuid4())
        written = await (self._registrar.insert(new) if connection is None else insert_alone(connection, new))
        if written.version is None:
            faults = missing_faults(image, written.missing)
            if written.existed or not faults:
                faults.insert(0, exists_fault(str(image.reference)))
            raise Refused(faults)
        return new.image_id.hex, written.version

    async def get(self, connection: Connection, image_id: str) -> Stored:
        """Return one live image; raises ImageNotFound."""
        stored = await single.get(connection, image_id)
        if stored is None:
            raise ImageNotFound(image_id)
        return stored

    async def update(self, connection: Connection, caller: Caller, data: Any, versions: Sequence[int] | None) -> int:
        """Update the fields that are present and return the new version; `versions` are those in If-Match."""
        checked = check_update(data, self._rules)
        image = checked.image
        if image is None:
            faults = await _faults_of_change(connection, checked, data)
            raise Refused(faults, more=checked.more, at_least=checked.cut)
        # The statement updates only an image with this name, so the stored namespace is the same.
        self._access.require(caller, image.image_name.namespace)
        assert image.image_id is not None
        needed = absent_frames(data)
        written = await retried(
            connection, lambda: single.update(connection, caller, image, checked.present, versions, needed)
        )
        if written is None:
            raise ImageNotFound(image.image_id)
        if written.version is not None:
            return written.version
        if written.stale:
            raise VersionConflict
        faults = [*missing_faults(image, written.missing), *_stored_faults(data, written)]
        if faults:
            raise Refused(in_field_order(faults))
        # The statement's snapshot shows no conflict, so the image changed while the statement ran.
        if versions is not None:
            raise VersionConflict
        raise ImageNotFound(image.image_id)

    async def delete(
        self, connection: Connection, caller: Caller, image_id: str, claim: Caller, versions: Sequence[int] | None
    ) -> None:
        """Delete an image on which no other depends, within the caller's scope narrowed by `claim`.

        `versions` are those in If-Match.
        """
        scope = self._access.claimed_scope(caller, claim)
        removed = await retried(connection, lambda: single.delete(connection, caller, image_id, scope, versions))
        if removed is None:
            raise ImageNotFound(image_id)
        if removed.done:
            return
        if not covers(scope, removed.namespace):
            raise refuse_namespace(removed.namespace)
        if removed.stale:
            raise VersionConflict
        if removed.total:
            raise ImageInUse(removed.dependents, removed.total)
        # As above: the image changed while the statement ran.
        raise ImageNotFound(image_id) if versions is None else VersionConflict


async def _faults_of_new(connection: Connection, checked: Checked, data: Any) -> list[Fault]:
    """Return the faults of an invalid registration, including those that need the database."""
    if not isinstance(data, dict):
        return checked.faults
    said = read(data)
    asked = [item for _, item in said.needs]
    found = await _found(connection, [*asked, *([said.identity] if said.identity else [])])
    taken = [exists_fault(str(said.identity))] if said.identity in found else []
    return in_field_order([*checked.faults, *_missing(said.needs, found), *taken])


async def _faults_of_change(connection: Connection, checked: Checked, data: Any) -> list[Fault]:
    """Return the faults of an invalid update, including those that need the database and the stored image."""
    if not isinstance(data, dict):
        return checked.faults
    needs, image_id = read(data).needs, id_of(data.get("imageId"))
    missing = _missing(needs, await _found(connection, [item for _, item in needs]))
    stored = await single.compare(connection, image_id, absent_frames(data)) if image_id else None
    known = {fault.field for fault in checked.faults}
    return in_field_order([*checked.faults, *missing, *(_stored_faults(data, stored, known) if stored else ())])


async def _found(connection: Connection, references: Sequence[ImageReference]) -> set[ImageReference]:
    return await single.find_references(connection, references) if references else set()


def _missing(needs: Sequence[tuple[int, ImageReference]], found: set[ImageReference]) -> list[Fault]:
    return [missing_fault(position, item) for position, item in needs if item not in found]


def _stored_faults(data: dict[str, Any], stored: Written, known: Set[str] = frozenset()) -> list[Fault]:
    """Return conflicts between an update and the stored image, except in fields that have faults already."""
    faults = list(map(frame_fault, stored.empty))
    own = zip(("imageName", "imageTag"), stored.name_and_tag, strict=True)
    if any(name not in known and data[name] != value for name, value in own):
        faults.append(identity_fault())
    return faults
