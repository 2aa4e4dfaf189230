"""Moves images between sites: imports a file atomically, and exports to a file."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, BinaryIO, Final, Self
from uuid import uuid4

import asyncpg

from algoplatform.catalogue.parsing import off_loop
from algoplatform.domain.access import AccessPolicy, Caller, Scope, covers, outside_fault
from algoplatform.domain.errors import MAX_COUNTED, MAX_RECORD_FAULTS, FileRefused, Unavailable, clip
from algoplatform.domain.faults import Code, Fault, RecordFault
from algoplatform.domain.record.fields import check_id
from algoplatform.domain.record.file import read_records
from algoplatform.domain.record.image import Image, Rules, check, field_order, in_field_order, is_blank, label_of
from algoplatform.domain.record.partial import Readable, id_of, read
from algoplatform.domain.search import Conditions
from algoplatform.domain.uploads import Counts, CountsAndChanges, OnConflict
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.postgres.transactions import UPLOAD_LOCK_TIMEOUT, transaction
from algoplatform.storage.search.statements import ImageSearch
from algoplatform.storage.upload import bulk, staging
from algoplatform.storage.upload.changes import find as find_changes
from algoplatform.storage.upload.staging import StagedRow

MAX_FAULTS: Final = 1000
# The deadline of an import: many times what it needs, including the wait for other imports.
_SECONDS: Final = 300
_SECONDS_PER_MIB: Final = 2
_BATCH: Final = 200
_TURN_SECONDS: Final = 0.05
_CHUNK: Final = 64 * 1024


class Transfer:
    """Imports and exports in constant memory."""

    def __init__(self, rules: Rules, access: AccessPolicy, search: ImageSearch) -> None:
        self._rules = rules
        self._access = access
        self._search = search

    async def export(
        self, connection: Connection, conditions: Conditions, write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Stream the matching records to `write`, as members of one JSON object without its braces."""
        await self._search.copy(connection, conditions, write, keyed=True)

    def admit(self, caller: Caller) -> None:
        """Raise Forbidden before the upload if the caller may write nowhere; `load` checks each record."""
        self._access.scope(caller)

    async def load(
        self,
        connection: Connection,
        caller: Caller,
        file: BinaryIO,
        on_conflict: OnConflict = OnConflict.UPDATE,
        *,
        dry_run: bool = False,
        changes: bool = False,
        progress: Callable[[int], None] = lambda size: None,
    ) -> Counts:
        """Import a file in one transaction; if it has faults, raises FileRefused with all of them.

        Returns CountsAndChanges if `changes` is set. `progress` receives the number of bytes read, negative
        when the file is rewound. Raises Unavailable if the import takes much longer than its size explains.
        """
        try:
            async with asyncio.timeout(_seconds_for(file)) as bound:
                return await self._load(
                    connection, caller, file, on_conflict, dry_run=dry_run, changes=changes, progress=progress
                )
        except TimeoutError:
            if bound.expired():
                raise Unavailable from None
            raise

    async def _load(
        self,
        connection: Connection,
        caller: Caller,
        file: BinaryIO,
        on_conflict: OnConflict,
        *,
        dry_run: bool,
        changes: bool,
        progress: Callable[[int], None],
    ) -> Counts:
        scope = self._access.scope(caller)
        start = file.tell()
        if not (dry_run or changes) and await bulk.is_empty(connection):
            try:
                async with (
                    _Reading(self._rules, scope, _chunks(file, progress)) as reading,
                    transaction(connection, lock_timeout=UPLOAD_LOCK_TIMEOUT),
                    bulk.refusing_conflicts(),
                ):
                    return await self._load_new(connection, caller, reading)
            except bulk.NotOnlyNew:
                progress(start - file.tell())
                file.seek(start)
        try:
            async with (
                _Reading(self._rules, scope, _chunks(file, progress)) as reading,
                transaction(connection, dry_run=dry_run, lock_timeout=UPLOAD_LOCK_TIMEOUT),
            ):
                return await self._load_any(connection, caller, reading, on_conflict, dry_run, changes)
        except asyncpg.ForeignKeyViolationError:
            # A dependency was deleted after the check: a retry will report it.
            raise Unavailable from None

    async def _load_new(self, connection: Connection, caller: Caller, reading: "_Reading") -> Counts:
        first = await reading.next_rows()
        if reading.total:
            raise bulk.NotOnlyNew
        await bulk.begin(connection)
        await bulk.fill(connection, caller, _faultless(first, reading))
        return Counts(reading.records, 0, 0, 0)

    async def _load_any(
        self,
        connection: Connection,
        caller: Caller,
        reading: "_Reading",
        on_conflict: OnConflict,
        dry_run: bool,
        changes: bool,
    ) -> Counts:
        await staging.fill(connection, reading.rows())
        await _refuse(connection, reading, on_conflict)
        if not dry_run:
            await staging.lock(connection)
        changed = await find_changes(connection, on_conflict) if changes else None
        if dry_run:
            done = await staging.count(connection, on_conflict)
        else:
            done = await staging.write(connection, caller, on_conflict)
            await staging.link(connection)
        if on_conflict is OnConflict.FAIL and done[0] < reading.records:
            # A concurrent upload has created one of these images: a retry will report it.
            raise Unavailable
        counts = _count(reading.records, *done, on_conflict)
        return counts if changed is None else CountsAndChanges(**asdict(counts), changes=changed)


def _seconds_for(file: BinaryIO) -> float:
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    return _SECONDS + _SECONDS_PER_MIB * size / 1024**2


def _chunks(file: BinaryIO, progress: Callable[[int], None]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        progress(len(chunk))
        yield chunk


class _Reading:
    """Turns a file into rows for the database, and collects the faults.

    A thread parses and checks one batch ahead, so that the event loop stays free for other requests.
    """

    def __init__(self, rules: Rules, scope: Scope, chunks: Iterator[bytes]) -> None:
        self._rules = rules
        self._scope = scope
        self._records = read_records(chunks)
        self._ahead: asyncio.Task[list[StagedRow | None]] | None = None
        self._ended = False
        self.records = 0
        self.faults: list[RecordFault] = []
        self.total = 0
        self.at_least = False
        self.forbidden = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        # The thread must have finished before the file is closed or read again.
        self._ended = True
        if self._ahead:
            await asyncio.gather(self._ahead, return_exceptions=True)

    async def rows(self) -> AsyncIterator[StagedRow]:
        """Yield a row for each record that can be staged."""
        while batch := await self._next():
            for row in batch:
                if row is not None:
                    yield row

    async def next_rows(self) -> list[StagedRow]:
        """Return the rows of the next batch of records."""
        return [row for row in await self._next() if row is not None]

    async def _next(self) -> list[StagedRow | None]:
        # Shielded, as a thread cannot be cancelled; __aexit__ waits for it.
        batch = await asyncio.shield(self._ahead or self._read_on())
        # Stop reading: each further fault costs time, and each invalid record a staging row.
        if self.total > MAX_COUNTED:
            raise FileRefused(self.faults, self.total, forbidden=self.forbidden, at_least=True)
        self._ahead = self._read_on() if batch else None
        return batch

    def _read_on(self) -> asyncio.Task[list[StagedRow | None]]:
        self._ahead = asyncio.create_task(off_loop(self._batch))
        return self._ahead

    def _batch(self) -> list[StagedRow | None]:
        rows: list[StagedRow | None] = []
        until = time.monotonic() + _TURN_SECONDS
        for key, data in islice(self._records, _BATCH):
            rows.append(self._row(key, data))
            if self._ended or self.total > MAX_COUNTED or time.monotonic() > until:
                break
        return rows

    def _row(self, key: str | None, data: Any) -> StagedRow | None:
        self.records += 1
        checked = check(data, self._rules)
        image = checked.image
        said = read(data) if image is None and isinstance(data, dict) else None
        faults = [*_key_faults(key, data), *checked.faults, *self._access_faults(image or said)]
        if image is not None and not faults:
            return staging.row(self.records, image, image.image_id or key or uuid4().hex)
        self._keep(in_field_order(faults), data)
        self.total += checked.more
        self.at_least |= checked.cut
        if not isinstance(data, dict):
            return None
        return staging.faulty_row(self.records, _id_of(key, data), said or read(data))

    def _keep(self, faults: list[Fault], data: Any) -> None:
        self.total += len(faults)
        room = min(MAX_RECORD_FAULTS, max(0, MAX_FAULTS - len(self.faults)))
        label = self._label(data)
        self.faults += [RecordFault(self.records, label, fault) for fault in faults[:room]]

    def _access_faults(self, record: Image | Readable | None) -> list[Fault]:
        name = record.image_name if isinstance(record, Image) else record.name if record else None
        if self._scope is None or name is None or covers(self._scope, name.namespace):
            return []
        self.forbidden = True
        return [outside_fault(name.namespace)]

    def _label(self, data: Any) -> str:
        named = data if isinstance(data, dict) else {}
        return label_of(self.records, named.get("imageName"), named.get("imageTag"))


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


def _id_of(key: str | None, data: dict[str, Any]) -> str | None:
    """Return the id of an invalid record; None if it is invalid itself, or differs from the key."""
    inside = data.get("imageId")
    if is_blank(inside):
        return id_of(key)
    return id_of(inside) if key in (None, inside) else None


async def _faultless(first: list[StagedRow], reading: _Reading) -> AsyncIterator[StagedRow]:
    for row in first:
        yield row
    async for row in reading.rows():
        if reading.total:
            raise bulk.NotOnlyNew
        yield row
    if reading.total:
        raise bulk.NotOnlyNew


async def _refuse(connection: Connection, reading: _Reading, on_conflict: OnConflict) -> None:
    """Raise FileRefused if the file has any fault."""
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
