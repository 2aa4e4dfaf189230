"""The use cases of single images.

Each gets a connection: on its own a write is one statement, so one transaction; under an Idempotency-Key it is part of
the caller's.
"""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from algoplatform.domain.access import AccessPolicy, Caller, covers, refuse_namespace
from algoplatform.domain.errors import ImageInUse, ImageNotFound, Refused, VersionConflict
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.image import (
    Checked,
    Rules,
    check_registration,
    check_update,
    dependencies_of,
    dependency_faults,
    exists_fault,
    frame_fault,
    identity_of,
    in_field_order,
    missing_faults,
)
from algoplatform.storage import images
from algoplatform.storage.database import Connection, retried
from algoplatform.storage.images import Stored


class Images:
    """Register, read, update and delete images."""

    def __init__(self, rules: Rules, access: AccessPolicy) -> None:
        self._rules = rules
        self._access = access

    async def register(self, connection: Connection, caller: Caller, data: Any) -> tuple[str, int]:
        """Register what parsed JSON describes: the new image's id and version; Refused with every fault."""
        checked = check_registration(data, self._rules)
        image = checked.image
        if image is None:
            raise Refused(await self._all_faults(connection, checked, data, taken=True))
        self._access.require(caller, image.image_name.namespace)
        image_id = uuid4().hex
        written = await retried(connection, lambda: images.insert(connection, caller, image, image_id))
        if written.version is None:
            faults = missing_faults(image, written.missing)
            if written.existed or not faults:
                faults.insert(0, exists_fault(str(image.reference)))
            raise Refused(faults)
        return image_id, written.version

    async def get(self, connection: Connection, image_id: str) -> Stored:
        """Read one live image."""
        stored = await images.get(connection, image_id)
        if stored is None:
            raise ImageNotFound(image_id)
        return stored

    async def update(self, connection: Connection, caller: Caller, data: Any, versions: Sequence[int] | None) -> int:
        """Change the fields that are present and give the new version; `versions` are those that If-Match allows."""
        checked = check_update(data, self._rules)
        image = checked.image
        if image is None:
            raise Refused(await self._all_faults(connection, checked, data, taken=False))
        # Only an image of this very name is updated, so its namespace is the stored one's.
        self._access.require(caller, image.image_name.namespace)
        assert image.image_id is not None
        needed = [
            name for name in ("frameInterval", "frameNumber") if image.needs_frames and name not in checked.present
        ]
        written = await retried(
            connection, lambda: images.update(connection, caller, image, checked.present, versions, needed)
        )
        if written is None:
            raise ImageNotFound(image.image_id)
        if written.version is not None:
            return written.version
        if written.stale:
            raise VersionConflict
        faults = [*missing_faults(image, written.missing), *map(frame_fault, written.empty)]
        if written.name_and_tag != (str(image.image_name), str(image.image_tag)):
            faults.append(Fault("imageName", Code.IDENTITY_CHANGED, "更新不能修改imageName或imageTag"))
        if faults:
            raise Refused(in_field_order(faults))
        # The statement's snapshot shows nothing wrong, so the image changed while it ran.
        if versions is not None:
            raise VersionConflict
        raise ImageNotFound(image.image_id)

    async def delete(
        self, connection: Connection, caller: Caller, image_id: str, claim: Caller, versions: Sequence[int] | None
    ) -> None:
        """Delete an image that the caller, as who the claim makes him, may delete and on which no other depends.

        `versions` are those that If-Match allows.
        """
        scope = self._access.claimed_scope(caller, claim)
        removed = await retried(connection, lambda: images.delete(connection, caller, image_id, scope, versions))
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

    async def _all_faults(self, connection: Connection, checked: Checked, data: Any, *, taken: bool) -> list[Fault]:
        """Add to a broken record's faults those that only the registry knows."""
        if not isinstance(data, dict):
            return checked.faults
        faults = list(checked.faults)
        needs = dependencies_of(data)
        identity = identity_of(data)
        wanted = [*needs, *([identity] if taken and identity else [])]
        found = await images.find_references(connection, wanted) if wanted else set()
        faults += dependency_faults(item for item in needs if item not in found)
        if taken and identity in found:
            faults.append(exists_fault(str(identity)))
        return in_field_order(faults)
