"""The use cases for single images, each in a session of its own.

Each write is a single statement, and so a transaction of its own, or part of one with an Idempotency-Key.
Registrations without a key are batched: several share a statement.
"""

from collections.abc import Callable, Sequence, Set
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

from algoplatform.catalogue.idempotency import Idempotency, Writes
from algoplatform.domain.access import AccessPolicy, Caller, Scope, require_covered
from algoplatform.domain.errors import ImageInUse, ImageNotFound, Refused, VersionConflict
from algoplatform.domain.faults import Fault
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record import wording
from algoplatform.domain.record.check import Checked, Rules, absent_frames, check_registration, check_update
from algoplatform.domain.record.partial import id_of, read
from algoplatform.domain.requests import check_deletion
from algoplatform.storage.images import edges, graph, single
from algoplatform.storage.images.edges import Drift
from algoplatform.storage.images.register import Registrar, Registration, insert_alone
from algoplatform.storage.images.single import Neighbours, Stored, Written
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.postgres.transactions import retried


class Registered(NamedTuple):
    """A new image: its id, and the version for its ETag."""

    image_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Images:
    """Register, read, update and delete images."""

    _rules: Rules
    _access: AccessPolicy
    _database: Database
    _registrar: Registrar
    _writes: Writes

    async def register(self, caller: Caller, data: Any, once: Idempotency[Registered] | None = None) -> Registered:
        """Register an image from parsed JSON; raises Refused with all faults."""
        if once is None:
            new = await self._new(caller, data, self._database.connection())
            return _registered(new, await self._registrar.insert(new))

        async def write(connection: Connection) -> Registered:
            new = await self._new(caller, data, nullcontext(connection))
            return _registered(new, await insert_alone(connection, new))

        return await self._writes.run(caller, once, write)

    async def _new(self, caller: Caller, data: Any, session: AbstractAsyncContextManager[Connection]) -> Registration:
        """Check a new image; `session` is used only to find further faults of an invalid one."""
        checked = check_registration(data, self._rules)
        image = checked.image
        if image is None:
            async with session as connection:
                faults = await _faults_of_new(connection, checked, data)
            raise Refused(faults, more=checked.more, at_least=checked.cut)
        self._access.require(caller, image.image_name.namespace)
        return Registration(caller, image, uuid4())

    async def get(self, image_id: str) -> Stored:
        """Return one live image; raises ImageNotFound."""
        async with self._database.connection() as connection:
            stored = await single.get(connection, image_id)
        if stored is None:
            raise ImageNotFound(image_id)
        return stored

    async def identify(self, references: Sequence[str]) -> dict[str, str]:
        """Return the ids of those references that are live images."""
        wanted = [ImageReference.parse(reference) for reference in dict.fromkeys(references)]
        async with self._database.connection() as connection:
            return await graph.identify(connection, [], wanted)

    async def neighbours(self, image_id: str) -> Neighbours:
        async with self._database.connection() as connection:
            return await single.neighbours(connection, image_id)

    async def update(
        self, caller: Caller, data: Any, versions: Sequence[int] | None, once: Idempotency[int] | None = None
    ) -> int:
        """Update the fields that are present and return the new version; `versions` are those in If-Match."""
        return await self._writes.run(caller, once, lambda connection: self._update(connection, caller, data, versions))

    async def _update(self, connection: Connection, caller: Caller, data: Any, versions: Sequence[int] | None) -> int:
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
        faults = [*wording.missing_faults(image, written.missing), *_stored_faults(data, written)]
        if faults:
            raise Refused(wording.in_field_order(faults))
        # The statement's snapshot shows no conflict, so the image changed while the statement ran.
        if versions is not None:
            raise VersionConflict
        raise ImageNotFound(image.image_id)

    async def delete(
        self, caller: Caller, data: Any, versions: Sequence[int] | None, once: Idempotency[None] | None = None
    ) -> None:
        """Delete an image on which no other depends, within the caller's scope narrowed by userResult.

        `versions` are those in If-Match.
        """
        await self._writes.run(caller, once, lambda connection: self._delete(connection, caller, data, versions))

    async def _delete(self, connection: Connection, caller: Caller, data: Any, versions: Sequence[int] | None) -> None:
        image_id, claim = check_deletion(data)
        await self._remove(connection, caller, image_id, self._access.claimed_scope(caller, claim), versions)

    async def remove(self, caller: Caller, image_id: str, versions: Sequence[int] | None = None) -> None:
        """Delete an image as `delete` does, within the caller's own scope."""
        scope = self._access.scope(caller)
        await self._writes.run(
            caller, None, lambda connection: self._remove(connection, caller, image_id, scope, versions)
        )

    async def _remove(
        self, connection: Connection, caller: Caller, image_id: str, scope: Scope, versions: Sequence[int] | None
    ) -> None:
        removed = await retried(connection, lambda: single.delete(connection, caller, image_id, scope, versions))
        if removed is None:
            raise ImageNotFound(image_id)
        if removed.done:
            return
        require_covered(scope, removed.namespace)
        if removed.stale:
            raise VersionConflict
        if removed.total:
            raise ImageInUse(removed.dependents, removed.total)
        # As above: the image changed while the statement ran.
        raise ImageNotFound(image_id) if versions is None else VersionConflict

    async def drift(self, tell: Callable[[Drift], None]) -> None:
        """Call `tell` with every stored dependency edge that differs from the records."""
        async with self._database.connection() as connection:
            async for found in edges.drift(connection):
                tell(found)


def _registered(new: Registration, written: Written) -> Registered:
    if written.version is not None:
        return Registered(new.image_id.hex, written.version)
    faults = wording.missing_faults(new.image, written.missing)
    if written.existed or not faults:
        faults.insert(0, wording.exists_fault(str(new.image.reference)))
    raise Refused(faults)


async def _faults_of_new(connection: Connection, checked: Checked, data: Any) -> list[Fault]:
    """Return the faults of an invalid registration, including those that need the database."""
    if not isinstance(data, dict):
        return checked.faults
    said = read(data)
    asked = [item for _, item in said.needs]
    found = await single.find_references(connection, [*asked, *([said.identity] if said.identity else [])])
    taken = [wording.exists_fault(str(said.identity))] if said.identity in found else []
    return wording.in_field_order([*checked.faults, *_missing(said.needs, found), *taken])


async def _faults_of_change(connection: Connection, checked: Checked, data: Any) -> list[Fault]:
    """Return the faults of an invalid update, including those that need the database and the stored image."""
    if not isinstance(data, dict):
        return checked.faults
    needs, image_id = read(data).needs, id_of(data.get("imageId"))
    missing = _missing(needs, await single.find_references(connection, [item for _, item in needs]))
    stored = await single.compare(connection, image_id, absent_frames(data)) if image_id else None
    known = {fault.field for fault in checked.faults}
    return wording.in_field_order([*checked.faults, *missing, *(_stored_faults(data, stored, known) if stored else ())])


def _missing(needs: Sequence[tuple[int, ImageReference]], found: set[ImageReference]) -> list[Fault]:
    return [wording.missing_fault(position, item) for position, item in needs if item not in found]


def _stored_faults(data: dict[str, Any], stored: Written, known: Set[str] = frozenset()) -> list[Fault]:
    """Return conflicts between an update and the stored image, except in fields that have faults already."""
    faults = list(map(wording.empty_fault, stored.empty))
    own = zip(("imageName", "imageTag"), stored.name_and_tag, strict=True)
    if any(name not in known and data[name] != value for name, value in own):
        faults.append(wording.identity_fault())
    return faults
