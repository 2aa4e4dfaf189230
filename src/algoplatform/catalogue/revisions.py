"""The use cases for an image's history, each in a session of its own: reading it and restoring from it."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from algoplatform.catalogue.idempotency import Idempotency, Writes
from algoplatform.domain.access import AccessPolicy, Caller
from algoplatform.domain.errors import ImageNotFound, Refused, Unavailable, VersionConflict
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.model import Image
from algoplatform.domain.record.wording import exists_fault, missing_faults
from algoplatform.domain.requests import check_restoration
from algoplatform.domain.revision import Revision
from algoplatform.storage.images import revisions
from algoplatform.storage.images.revisions import State
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.postgres.transactions import retried

# Attempts to restore an image that concurrent requests keep changing.
_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class Revisions:
    """Reads the history of images, and restores them."""

    _rules: Rules
    _access: AccessPolicy
    _database: Database
    _writes: Writes

    async def history(self, image_id: str, page: int, page_size: int) -> tuple[list[Revision], int]:
        """Return a page of the image's revisions, latest first, and their total number.

        Includes deleted images; raises ImageNotFound. Beyond 4 MiB the records are left out: see `with_records`.
        """
        async with self._database.connection() as connection:
            found, total = await revisions.history(connection, image_id, page_size, (page - 1) * page_size)
        if not total:
            raise ImageNotFound(image_id)
        return found, total

    async def with_records(self, image_id: str, found: Sequence[Revision]) -> AsyncIterator[Revision]:
        """Yield these revisions with their records; those left out are read one by one, at most two in memory."""
        complete = not found or found[0].after is not None
        after = None if complete else await self._record(image_id, found[0].version)
        for revision in found:
            if complete:
                yield revision
                continue
            before = await self._record(image_id, revision.version - 1)
            yield replace(revision, before=before, after=after)
            after = before

    async def _record(self, image_id: str, version: int) -> str | None:
        # Revisions never change, so no snapshot is needed.
        async with self._database.connection() as connection:
            state = await revisions.state(connection, image_id, version)
        return state.record if state else None

    async def at_version(self, image_id: str, version: int) -> dict[str, Any] | None:
        """Return an image's record as it was at a version; None if there is none."""
        text = await self._record(image_id, version)
        record: dict[str, Any] | None = json.loads(text) if text else None
        return record

    async def restore(
        self,
        caller: Caller,
        image_id: str,
        data: Any,
        versions: Sequence[int] | None,
        once: Idempotency[int] | None = None,
    ) -> int:
        """Undelete an image, or restore the version that `data` names; returns the new version.

        The restored record must pass the checks of any write; `versions` are those in If-Match.
        """
        return await self._writes.run(
            caller, once, lambda connection: self._restore(connection, caller, image_id, data, versions)
        )

    async def _restore(
        self, connection: Connection, caller: Caller, image_id: str, data: Any, versions: Sequence[int] | None
    ) -> int:
        version = check_restoration(data)
        for _ in range(_ATTEMPTS):
            state = await revisions.state(connection, image_id, version)
            if state is None:
                raise ImageNotFound(image_id)
            self._access.require(caller, state.namespace)
            if versions is not None and state.version not in versions:
                raise VersionConflict
            restored = await self._restore_state(connection, caller, image_id, version, state)
            if restored is not None:
                return restored
        raise Unavailable

    async def _restore_state(
        self, connection: Connection, caller: Caller, image_id: str, version: int | None, state: State
    ) -> int | None:
        """Restore the state just read; None if the image has changed since."""
        image = self._checked(state, version)
        written = await retried(
            connection, lambda: revisions.restore(connection, caller, image, image_id, state.version)
        )
        faults = [exists_fault(str(image.reference))] if written.existed else missing_faults(image, written.missing)
        if faults:
            raise Refused(faults)
        return written.version

    def _checked(self, state: State, version: int | None) -> Image:
        if version is None and state.live:
            raise Refused([Fault("version", Code.FIELD, "version不能为空：镜像未删除，须指明恢复到哪个版本")])
        if state.record is None:
            raise Refused([Fault("version", Code.FIELD, f"version不存在：{version}")])
        checked = check(json.loads(state.record) | {"deleteFlag": "0"}, self._rules)
        if checked.image is None:
            raise Refused(checked.faults)
        return checked.image
