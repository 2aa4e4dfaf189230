"""Moving images between sites: a file in, all or nothing, and a file out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO, Final, Self
from uuid import uuid4

import asyncpg

from algoplatform.domain.access import AccessPolicy, Caller, Scope, covers, outside_fault
from algoplatform.domain.broken import dependencies_of, id_of, identity_of, name_of
from algoplatform.domain.errors import FileRefused, Unavailable, clip
from algoplatform.domain.faults import Code, Fault, RecordFault
from algoplatform.domain.fields import check_id
from algoplatform.domain.image import Image, Rules, check, field_order, in_field_order, is_blank, label_of
from algoplatform.domain.record_file import read_records
from algoplatform.domain.search import Conditions
from algoplatform.storage import bulk, staging
from algoplatform.storage.database import Connection
from algoplatform.storage.search import ImageSearch
from algoplatform.storage.staging import Counts, OnConflict, StagedRow
from algoplatform.storage.transactions import transaction

MAX_FAULTS: Final = 1000
_BATCH: Final = 200
_CHUNK: Final = 64 * 1024


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

    def admit(self, caller: Caller) -> None:
        """Refuse a caller who may write nowhere, before his file is taken in; what it holds is for `load` to judge."""
        self._access.scope(caller)

    async def load(
        self,
        connection: Connection,
        caller: Caller,
        file: BinaryIO,
        on_conflict: OnConflict = OnConflict.UPDATE,
        *,
        dry_run: bool = False,
        progress: Callable[[int], None] = lambda size: None,
    ) -> Counts:
        """Import a file in one transaction; FileRefused with the faults of every record, and then nothing is written.

        `progress` is told the bytes read; a file that has to be read again takes them back.
        """
        scope = self._access.scope(caller)
        start = file.tell()
        try:
            async with (
                _Reading(self._rules, scope, _chunks(file, progress)) as reading,
                transaction(connection, dry_run=dry_run),
                bulk.refusing_conflicts(),
            ):
                return await self._load_new(connection, caller, reading)
        except bulk.NotOnlyNew:
            progress(start - file.tell())
            file.seek(start)
        try:
            async with (
                _Reading(self._rules, scope, _chunks(file, progress)) as reading,
                transaction(connection, dry_run=dry_run),
            ):
                return await self._load_any(connection, caller, reading, on_conflict)
        except asyncpg.ForeignKeyViolationError:
            # A dependency was deleted since the check: asked again, the check will see it.
            raise Unavailable from None

    async def _load_new(self, connection: Connection, caller: Caller, reading: "_Reading") -> Counts:
        first = await reading.next_rows()
        if reading.total:
            raise bulk.NotOnlyNew
        await bulk.begin(connection, first)
        await bulk.fill(connection, caller, _faultless(first, reading))
        return Counts(reading.records, 0, 0, 0)

    async def _load_any(
        self, connection: Connection, caller: Caller, reading: "_Reading", on_conflict: OnConflict
    ) -> Counts:
        await staging.fill(connection, reading.rows())
        await _refuse(connection, reading, on_conflict)
        created, updated = await staging.write(connection, caller, on_conflict)
        if not await staging.link(connection):
            raise Unavailable
        if on_conflict is OnConflict.FAIL and created < reading.records:
            # Another upload has just created one of these: asked again, the check will see it.
            raise Unavailable
        return _count(reading.records, created, updated, on_conflict)


def _chunks(file: BinaryIO, progress: Callable[[int], None]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        progress(len(chunk))
        yield chunk


class _Reading:
    """A file on its way to the database: rows out, faults kept aside.

    It is read and checked in a thread, a batch ahead, so that other requests are answered meanwhile.
    """

    def __init__(self, rules: Rules, scope: Scope, chunks: Iterator[bytes]) -> None:
        self._rules = rules
        self._scope = scope
        self._records = read_records(chunks)
        self._ahead: asyncio.Task[list[StagedRow | None]] | None = None
        self.records = 0
        self.faults: list[RecordFault] = []
        self.total = 0
        self.forbidden = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        # The thread reads the file: it must have ended before anybody closes that, or reads it again.
        if self._ahead:
            await asyncio.gather(self._ahead, return_exceptions=True)

    async def rows(self) -> AsyncIterator[StagedRow]:
        """Give a row for each record that can be staged."""
        while batch := await self._next():
            for row in batch:
                if row is not None:
                    yield row

    async def next_rows(self) -> list[StagedRow]:
        """Give the rows of the next batch of records."""
        return [row for row in await self._next() if row is not None]

    async def _next(self) -> list[StagedRow | None]:
        batch = await (self._ahead or asyncio.to_thread(self._batch))
        self._ahead = asyncio.create_task(asyncio.to_thread(self._batch)) if batch else None
        return batch

    def _batch(self) -> list[StagedRow | None]:
        return [self._row(key, data) for key, data in islice(self._records, _BATCH)]

    def _row(self, key: str | None, data: Any) -> StagedRow | None:
        self.records += 1
        checked = check(data, self._rules)
        faults = [*_key_faults(key, data), *checked.faults, *self._access_faults(checked.image, data)]
        if checked.image is not None and not faults:
            return staging.row(self.records, checked.image, checked.image.image_id or key or uuid4().hex)
        self._keep(in_field_order(faults), data)
        if not isinstance(data, dict):
            return None
        return staging.faulty_row(self.records, _id_of(key, data), identity_of(data), dependencies_of(data))

    def _keep(self, faults: list[Fault], data: Any) -> None:
        self.total += len(faults)
        room = max(0, MAX_FAULTS - len(self.faults))
        self.faults += [RecordFault(self.records, self._label(data), fault) for fault in faults[:room]]

    def _access_faults(self, image: Image | None, data: Any) -> list[Fault]:
        if self._scope is None:
            return []
        name = image.image_name if image else name_of(data) if isinstance(data, dict) else None
        if name is None or covers(self._scope, name.namespace):
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
    """Read the id of a record that is wrong elsewhere; None where its key says another."""
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
    """Raise FileRefused if anything is wrong with the file."""
    faults, total = await staging.faults(connection, on_conflict, MAX_FAULTS)
    total += reading.total
    if total:
        # A record that is wrong otherwise is called the same here: its name and tag may be what is wrong.
        labels = {found.position: found.image for found in reading.faults}
        faults = [replace(found, image=labels.get(found.position, found.image)) for found in faults]
        everything = sorted([*reading.faults, *faults], key=lambda found: (found.position, field_order(found.fault)))
        raise FileRefused(everything[:MAX_FAULTS], total, forbidden=reading.forbidden)


def _count(records: int, created: int, updated: int, on_conflict: OnConflict) -> Counts:
    rest = records - created - updated
    skipped = rest if on_conflict is OnConflict.SKIP else 0
    return Counts(created, updated, rest - skipped, skipped)
