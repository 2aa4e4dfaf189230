"""The use case of an upload: imports a file of images atomically."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import BinaryIO, Final

import asyncpg

from algoplatform.catalogue.idempotency import Idempotency, Writes
from algoplatform.catalogue.upload_reading import MAX_FAULTS, Reading
from algoplatform.domain.access import AccessPolicy, Caller
from algoplatform.domain.errors import FileRefused, Unavailable
from algoplatform.domain.record.check import Rules
from algoplatform.domain.record.wording import field_order
from algoplatform.domain.uploads import DEFAULT_OPTIONS, Counts, CountsAndChanges, OnConflict, UploadOptions
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.postgres.transactions import UPLOAD_LOCK_TIMEOUT, transaction
from algoplatform.storage.upload import bulk, staging
from algoplatform.storage.upload.changes import find as find_changes
from algoplatform.storage.upload.staging import StagedRow

# The deadline of an import: many times what it needs, including the wait for other imports.
DEADLINE_SECONDS: Final = 300
DEADLINE_SECONDS_PER_MIB: Final = 2
_CHUNK: Final = 64 * 1024

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Imports in constant memory."""

    _rules: Rules
    _access: AccessPolicy
    _writes: Writes

    def admit(self, caller: Caller) -> None:
        """Raise Forbidden before the upload if the caller may write nowhere; `load` checks each record."""
        self._access.scope(caller)

    async def load(
        self,
        caller: Caller,
        file: BinaryIO,
        options: UploadOptions = DEFAULT_OPTIONS,
        once: Idempotency[Counts] | None = None,
        *,
        progress: Progress = lambda size: None,
    ) -> Counts:
        """Import a file in one transaction; if it has faults, raises FileRefused with all of them.

        Returns CountsAndChanges if these are asked for. `progress` receives the number of bytes read,
        negative when the file is rewound. Raises Unavailable if the import takes much longer than its size
        explains.
        """
        try:
            async with asyncio.timeout(_seconds_for(file)) as bound:
                return await self._writes.run(
                    caller, once, lambda connection: self._load(connection, caller, file, options, progress)
                )
        except TimeoutError:
            if bound.expired():
                raise Unavailable from None
            raise

    async def _load(
        self, connection: Connection, caller: Caller, file: BinaryIO, options: UploadOptions, progress: Progress
    ) -> Counts:
        scope = self._access.scope(caller)
        start = file.tell()
        if not (options.dry_run or options.changes) and await bulk.is_empty(connection):
            try:
                async with (
                    Reading(self._rules, scope, _chunks(file, progress)) as reading,
                    transaction(connection, lock_timeout=UPLOAD_LOCK_TIMEOUT),
                    bulk.refusing_conflicts(),
                ):
                    return await _load_new(connection, caller, reading)
            except bulk.NotOnlyNew:
                progress(start - file.tell())
                file.seek(start)
        try:
            async with (
                Reading(self._rules, scope, _chunks(file, progress)) as reading,
                transaction(connection, dry_run=options.dry_run, lock_timeout=UPLOAD_LOCK_TIMEOUT),
            ):
                return await _load_any(connection, caller, reading, options)
        except asyncpg.ForeignKeyViolationError:
            # A dependency was deleted after the check: a retry will report it.
            raise Unavailable from None


async def _load_new(connection: Connection, caller: Caller, reading: Reading) -> Counts:
    first = await reading.next_rows() or []
    if reading.total:
        raise bulk.NotOnlyNew
    await bulk.begin(connection)
    await bulk.fill(connection, caller, _faultless(first, reading))
    return Counts(reading.records, 0, 0, 0)


async def _load_any(connection: Connection, caller: Caller, reading: Reading, options: UploadOptions) -> Counts:
    await staging.fill(connection, reading.rows())
    await _refuse(connection, reading, options.on_conflict)
    if not options.dry_run:
        await staging.lock(connection)
    changed = await find_changes(connection, options.on_conflict) if options.changes else None
    if options.dry_run:
        done = await staging.count(connection, options.on_conflict)
    else:
        done = await staging.write(connection, caller, options.on_conflict)
        await staging.link(connection)
    if options.on_conflict is OnConflict.FAIL and done[0] < reading.records:
        # A concurrent upload has created one of these images: a retry will report it.
        raise Unavailable
    counts = _count(reading.records, *done, options.on_conflict)
    return counts if changed is None else CountsAndChanges(**asdict(counts), changes=changed)


def _seconds_for(file: BinaryIO) -> float:
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    return DEADLINE_SECONDS + DEADLINE_SECONDS_PER_MIB * size / 1024**2


def _chunks(file: BinaryIO, progress: Progress) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        progress(len(chunk))
        yield chunk


async def _faultless(first: list[StagedRow], reading: Reading) -> AsyncIterator[StagedRow]:
    for row in first:
        yield row
    async for row in reading.rows():
        if reading.total:
            raise bulk.NotOnlyNew
        yield row
    if reading.total:
        raise bulk.NotOnlyNew


async def _refuse(connection: Connection, reading: Reading, on_conflict: OnConflict) -> None:
    faults, total = await staging.faults(connection, on_conflict, MAX_FAULTS)
    total += reading.total
    if total:
        # Reuse the label of earlier faults of the record: its name and tag may be invalid and so not staged.
        labels = {found.position: found.image for found in reading.faults}
        faults = [replace(found, image=labels.get(found.position, found.image)) for found in faults]
        everything = sorted([*reading.faults, *faults], key=lambda found: (found.position, field_order(found.fault)))
        raise FileRefused(everything[:MAX_FAULTS], total, forbidden=reading.forbidden, at_least=reading.at_least)


def _count(records: int, created: int, updated: int, on_conflict: OnConflict) -> Counts:
    rest = records - created - updated
    skipped = rest if on_conflict is OnConflict.SKIP else 0
    return Counts(created, updated, rest - skipped, skipped)
