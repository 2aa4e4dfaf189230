"""Checks of lists of objects within a body, field by field; each fault has its path in the body."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final, TypeVar

from pydantic.alias_generators import to_snake

from algoplatform.domain.errors import MAX_COUNTED, MAX_RECORD_FAULTS, Malformed, Refused, clip
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.fields import MAX_INTEGER, check_integer, check_range, check_text, is_blank
from algoplatform.domain.requests import Checks, read_fields

T = TypeVar("T")

_MAX_NAME: Final = 253
_MAX_REFERENCE: Final = 384
_MAX_LABELS: Final = 100


def integer(first: int = 1, last: int = MAX_INTEGER) -> Callable[[object], int]:
    """Return a check for integers of a range; like those of a record, they may be sent as strings of digits."""

    def check(value: object) -> int:
        return check_range(value if type(value) is int else check_integer(value), first, last)

    return check


# Cached, as up to 50,000 rows have the same few names.
_known_as: Final = cache(to_snake)
check_name: Final = partial(check_text, limit=_MAX_NAME)
check_image: Final = partial(check_text, limit=_MAX_REFERENCE)


def check_labels(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > _MAX_LABELS:
        raise Malformed(f"须为标签的对象，至多{_MAX_LABELS}个")
    if not all(type(text) is str for text in value.values()):
        raise Malformed("的值须为字符串")
    return value


@dataclass(slots=True)
class Faults:
    """Faults found so far: the first MAX_RECORD_FAULTS, and how many more there are."""

    found: list[Fault] = field(default_factory=list)
    more: int = 0

    def add(self, faults: Sequence[Fault], more: int = 0) -> None:
        """Add faults, and the number of those that are not listed."""
        room = max(0, MAX_RECORD_FAULTS - len(self.found))
        self.found += faults[:room]
        self.more += len(faults[room:]) + more

    def tell(self, path: str, predicate: str) -> None:
        """Add a fault; its message is the path followed by the Chinese predicate."""
        self.add([Fault(path, Code.FIELD, path + predicate)])

    def fields(
        self, data: Mapping[str, Any], checks: Checks, path: str = "", required: Collection[str] = ()
    ) -> dict[str, Any]:
        """Return the parsed fields of an object that are not blank, by their Python names."""
        values, faults, more = read_fields(data, checks, prefix=f"{path}." if path else "", required=required)
        self.add(faults, more)
        return {_known_as(name): value for name, value in values.items()}

    def rows(
        self, value: object, path: str, most: int, read: Callable[[Mapping[str, Any], str], T]
    ) -> list[tuple[str, T]]:
        """Return the path of each object in a list with the result of `read`; a blank value is an empty list."""
        if is_blank(value):
            return []
        if not isinstance(value, list):
            self.tell(path, "须为JSON对象的列表")
            return []
        if len(value) > most:
            self.tell(path, f"至多{most}项，实际为{len(value)}项")
        return list(self._rows(value[:most], path, read))

    def _rows(
        self, items: Iterable[object], path: str, read: Callable[[Mapping[str, Any], str], T]
    ) -> Iterator[tuple[str, T]]:
        for position, item in enumerate(items):
            place = f"{path}[{position}]"
            if self.more >= MAX_COUNTED:
                return
            if isinstance(item, dict):
                yield place, read(item, place)
            else:
                self.tell(place, "须为JSON对象")

    def object(self, value: object, path: str) -> dict[str, Any]:
        """Return a value that is an object, else {}; adds a fault unless the value is blank."""
        if not is_blank(value) and not isinstance(value, dict):
            self.tell(path, "须为JSON对象")
        return value if isinstance(value, dict) else {}

    def once(self, named: Iterable[tuple[str, str]]) -> None:
        """Add a fault for each name that occurs at an earlier path."""
        first: dict[str, str] = {}
        for path, name in named:
            other = first.setdefault(name, path)
            if other != path:
                self.tell(path, f"与{other}重复：“{clip(name)}”")

    def end(self) -> None:
        """Raise Refused if there are faults."""
        if self.found:
            raise Refused(self.found, more=self.more)
