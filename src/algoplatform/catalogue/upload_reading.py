"""Turns an uploaded file into rows for the database, and collects its faults."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any, Final, Self
from uuid import uuid4

from algoplatform.catalogue.parsing import off_loop
from algoplatform.domain.access import Scope, covers, outside_fault
from algoplatform.domain.errors import MAX_COUNTED, MAX_RECORD_FAULTS, FileRefused, clip
from algoplatform.domain.faults import Code, Fault, RecordFault
from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.fields import check_id, is_blank
from algoplatform.domain.record.file import read_records
from algoplatform.domain.record.model import Image
from algoplatform.domain.record.partial import Readable, id_of, read
from algoplatform.domain.record.wording import in_field_order, label_of
from algoplatform.storage.upload import staging
from algoplatform.storage.upload.staging import StagedRow

MAX_FAULTS: Final = 1000
_BATCH: Final = 200
_TURN_SECONDS: Final = 0.05


class Reading:
    """Reads the records of a file, given in `chunks`; `scope` holds the namespaces that they may belong to.

    A thread parses and checks one batch ahead, so that the event loop stays free for other requests.
    """

    def __init__(self, rules: Rules, scope: Scope, chunks: Iterator[bytes]) -> None:
        self._rules = rules
        self._scope = scope
        self._records = read_records(chunks)
        self._ahead: asyncio.Task[list[StagedRow] | None] | None = None
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
        while (batch := await self.next_rows()) is not None:
            for row in batch:
                yield row

    async def next_rows(self) -> list[StagedRow] | None:
        """Return the rows of the next batch of records; None after the last."""
        # Shielded, as a thread cannot be cancelled; __aexit__ waits for it.
        batch = await asyncio.shield(self._ahead or self._read_on())
        # Stop reading: each further fault costs time, and each invalid record a staging row.
        if self.total > MAX_COUNTED:
            raise FileRefused(self.faults, self.total, forbidden=self.forbidden, at_least=True)
        self._ahead = None if batch is None else self._read_on()
        return batch

    def _read_on(self) -> asyncio.Task[list[StagedRow] | None]:
        self._ahead = asyncio.create_task(off_loop(self._batch))
        return self._ahead

    def _batch(self) -> list[StagedRow] | None:
        rows: list[StagedRow] = []
        before, until = self.records, time.monotonic() + _TURN_SECONDS
        for key, data in islice(self._records, _BATCH):
            if row := self._row(key, data):
                rows.append(row)
            if self._ended or self.total > MAX_COUNTED or time.monotonic() > until:
                break
        return rows if self.records > before else None

    def _row(self, key: str | None, data: Any) -> StagedRow | None:
        self.records += 1
        checked = check(data, self._rules)
        image = checked.image
        said = read(data) if image is None and isinstance(data, dict) else None
        faults = [*key_faults(key, data), *checked.faults, *self._access_faults(image or said)]
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
        named = data if isinstance(data, dict) else {}
        label = label_of(self.records, named.get("imageName"), named.get("imageTag"))
        self.faults += [RecordFault(self.records, label, fault) for fault in faults[:room]]

    def _access_faults(self, record: Image | Readable | None) -> list[Fault]:
        name = record.image_name if isinstance(record, Image) else record.name if record else None
        if self._scope is None or name is None or covers(self._scope, name.namespace):
            return []
        self.forbidden = True
        return [outside_fault(name.namespace)]


def key_faults(key: str | None, data: Any) -> list[Fault]:
    """Return the fault of a key that is not an image id, or differs from the id inside the record."""
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
