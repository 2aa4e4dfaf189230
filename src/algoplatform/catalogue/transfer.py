"""Moving images between sites: a file in, all or nothing, and a file out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import islice
from typing import Any, Final
from uuid import uuid4

from algoplatform.domain.access import AccessPolicy, Caller, Scope, covers, outside_fault
from algoplatform.domain.errors import FileRefused, Unavailable, clip
from algoplatform.domain.faults import Code, Fault, RecordFault
from algoplatform.domain.fields import check_id
from algoplatform.domain.image import Image, Rules, check, dependencies_of, identity_of, is_blank
from algoplatform.domain.record_file import read_records
from algoplatform.domain.search import Conditions
from algoplatform.storage import staging
from algoplatform.storage.database import Connection
from algoplatform.storage.search import ImageSearch
from algoplatform.storage.staging import Counts, OnConflict, Row

MAX_FAULTS: Final = 1000
_BATCH: Final = 200


class Transfer:
    """Import and export, in constant memory."""

    def __init__(self, rules: Rules, access: AccessPolicy, search: ImageSearch) -> None:
        self._rules = rules
        self._access = access
        self._search = search

    async def export(
        self, connection: Connection, conditions: Conditions, write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Pass the records that meet the conditions to `write` as members of one JSON object, without its braces."""
        await self._search.copy(connection, conditions, write, keyed=True)

    async def load(
        self,
        connection: Connection,
        caller: Caller,
        chunks: Iterator[bytes],
        on_conflict: OnConflict = OnConflict.UPDATE,
        *,
        dry_run: bool = False,
        progress: Callable[[int], None] = lambda records: None,
    ) -> Counts:
        """Import a file in one transaction; FileRefused with the faults of every record, and then nothing is written."""
        reading = _Reading(self._rules, self._access.scope(caller), chunks)
        transaction = connection.transaction()
        await transaction.start()
        try:
            await staging.fill(connection, _rows(reading, progress))
            await _refuse(connection, reading, on_conflict)
            created, updated = await staging.write(connection, on_conflict)
            if not await staging.link(connection):
                raise Unavailable
            counts = _count(reading.records, created, updated, on_conflict)
            if on_conflict is OnConflict.FAIL and created < reading.records:
                # Another upload has just created one of these: asked again, the check will see it.
                raise Unavailable
        except BaseException:
            await transaction.rollback()
            raise
        await (transaction.rollback() if dry_run else transaction.commit())
        return counts


class _Reading:
    """A file on its way to the staging table: rows out, faults kept aside."""

    def __init__(self, rules: Rules, scope: Scope, chunks: Iterator[bytes]) -> None:
        self._rules = rules
        self._scope = scope
        self._records = read_records(chunks)
        self.records = 0
        self.faults: list[RecordFault] = []
        self.total = 0

    def batch(self) -> list[Row | None]:
        """Check the next records: a row each, None for one that cannot be staged; empty at the end of the file."""
        return [self._row(key, data) for key, data in islice(self._records, _BATCH)]

    def _row(self, key: str | None, data: Any) -> Row | None:
        self.records += 1
        checked = check(data, self._rules)
        faults = [*_key_faults(key, data), *checked.faults, *self._access_faults(checked.image, data)]
        if checked.image is not None and not faults:
            return staging.row(self.records, checked.image, checked.image.image_id or key or uuid4().hex)
        self.total += len(faults)
        room = max(0, MAX_FAULTS - len(self.faults))
        self.faults += [RecordFault(self.records, self._label(data), fault) for fault in faults[:room]]
        identity = identity_of(data) if isinstance(data, dict) else None
        return staging.faulty_row(self.records, identity, dependencies_of(data)) if identity else None

    def _access_faults(self, image: Image | None, data: Any) -> list[Fault]:
        if self._scope is None:
            return []
        identity = image.reference if image else identity_of(data) if isinstance(data, dict) else None
        if identity is None or covers(self._scope, identity.name.namespace):
            return []
        return [outside_fault(identity.name.namespace)]

    def _label(self, data: Any) -> str:
        named = data if isinstance(data, dict) else {}
        parts = [clip(value) for value in (named.get("imageName"), named.get("imageTag")) if isinstance(value, str)]
        return "".join(parts) or f"第{self.records}条记录"


def _key_faults(key: str | None, data: Any) -> list[Fault]:
    if key is None:
        return []
    inside = data.get("imageId") if isinstance(data, dict) else None
    try:
        check_id(key)
    except ValueError as error:
        return [Fault("imageId", Code.FIELD, f"imageId（键“{clip(key)}”）{error}")]
    if is_blank(inside) or inside == key:
        return []
    return [Fault("imageId", Code.FIELD, f"imageId与键“{clip(key)}”不一致")]


async def _rows(reading: _Reading, progress: Callable[[int], None]) -> AsyncIterator[Row]:
    """Check the file in a thread, so that other requests are answered meanwhile."""
    while batch := await asyncio.to_thread(reading.batch):
        for row in batch:
            if row is not None:
                yield row
        progress(reading.records)


async def _refuse(connection: Connection, reading: _Reading, on_conflict: OnConflict) -> None:
    """Raise FileRefused if anything is wrong with the file."""
    faults, total = await staging.faults(connection, on_conflict, MAX_FAULTS)
    total += reading.total
    if total:
        everything = sorted([*reading.faults, *faults], key=lambda found: found.position)
        raise FileRefused(everything[:MAX_FAULTS], total)


def _count(records: int, created: int, updated: int, on_conflict: OnConflict) -> Counts:
    rest = records - created - updated
    skipped = rest if on_conflict is OnConflict.SKIP else 0
    return Counts(created, updated, rest - skipped, skipped)
