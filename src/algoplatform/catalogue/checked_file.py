"""A file of records for lint: validated as a whole, as an upload is, then read a second time."""

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from algoplatform.catalogue.parsing import in_slices
from algoplatform.catalogue.search import Write
from algoplatform.catalogue.upload_reading import MAX_FAULTS, key_faults
from algoplatform.domain.errors import MAX_COUNTED, MAX_RECORD_FAULTS, BadRequest, FileRefused
from algoplatform.domain.faults import Code, Fault, RecordFault
from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.file import read_records
from algoplatform.domain.record.model import Image
from algoplatform.domain.record.wording import in_field_order, label_of
from algoplatform.planning.lint.record import Record

_CHUNK: Final = 64 * 1024
# Images and dependencies in a file: each takes about 200 bytes of memory while the file is checked.
MOST_NAMED: Final = 1_000_000


class CheckedFile:
    """Reads a file twice, as the whole file must be valid before the first finding is written."""

    def __init__(self, file: BinaryIO, rules: Rules) -> None:
        self._file = file
        self._rules = rules
        self._start = file.tell()
        self._faults: list[RecordFault] = []
        self._total = 0
        self._at_least = False
        self._position = 0
        self._named = 0
        # Positions by reference and by id, to find repeated ones.
        self._seen: dict[str, int] = {}

    async def check(self, write: Write) -> None:
        """Check all records; raises FileRefused with their faults, BadRequest for another format or too large a file.

        `write` receives only empty data, after each slice of the work.
        """
        async for _ in in_slices(self._read(), lambda read: self._check(*read)):
            # Raises once the client has disconnected, which ends the work.
            await write(b"")
        if self._total:
            raise FileRefused(self._faults, self._total, at_least=self._at_least)

    def records(self) -> Iterator[Record]:
        """Yield the records, with the field names of the API; `check` must have passed before."""
        for _, data in self._read():
            image = check(data, self._rules).image
            assert image
            yield image.values()

    def _read(self) -> Iterator[tuple[str | None, Any]]:
        self._file.seek(self._start)
        return read_records(iter(lambda: self._file.read(_CHUNK), b""))

    def _check(self, key: str | None, data: Any) -> None:
        self._position += 1
        checked = check(data, self._rules)
        faults = [*key_faults(key, data), *checked.faults]
        if checked.image:
            faults += self._repeats(checked.image, key)
            self._named += 1 + len(checked.image.dependencies)
            if self._named > MOST_NAMED:
                raise BadRequest(f"文件中的镜像和依赖超过{MOST_NAMED}个，请分成几个文件检查", malformed=False)
        if not faults:
            return
        self._total += len(faults) + checked.more
        self._at_least |= checked.cut
        room = min(MAX_RECORD_FAULTS, max(0, MAX_FAULTS - len(self._faults)))
        named = data if isinstance(data, dict) else {}
        label = label_of(self._position, named.get("imageName"), named.get("imageTag"))
        self._faults += [RecordFault(self._position, label, fault) for fault in in_field_order(faults)[:room]]
        if self._total > MAX_COUNTED:
            raise FileRefused(self._faults, self._total, at_least=True)

    def _repeats(self, image: Image, key: str | None) -> Iterator[Fault]:
        first = self._seen.setdefault(str(image.reference), self._position)
        if first != self._position:
            yield Fault("imageName", Code.IMAGE_EXISTS, f"文件中重复：与第{first}条记录的镜像名和标签相同")
        image_id = image.image_id or key
        if image_id:
            first = self._seen.setdefault(image_id, self._position)
            if first != self._position:
                yield Fault("imageId", Code.FIELD, f"imageId在文件中重复：与第{first}条记录相同")
