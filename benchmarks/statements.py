"""The one place where the benchmarks take what the service does from its source, so that floors always do the same.

A statement is taken by calling the repository with a connection that only notes what it is asked.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from algoplatform.domain.image import Image, Rules, check_registration, check_update
from algoplatform.domain.search import Conditions, check_conditions
from algoplatform.storage import images
from algoplatform.storage.database import Connection

RULES: Final = Rules()


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with its arguments $1, $2 ..."""

    sql: str
    arguments: tuple[Any, ...]

    def inlined(self, stand_ins: dict[str, str] | None = None) -> str:
        """Put the arguments into the text; within strings each key of `stand_ins` gives way to an SQL expression."""
        text = self.sql
        for number in range(len(self.arguments), 0, -1):
            text = text.replace(f"${number}", _literal(self.arguments[number - 1], stand_ins or {}))
        return text


class _CaptureError(Exception):
    pass


class _Recorder:
    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def note(sql: str, *arguments: Any, **_: Any) -> Any:
            raise _CaptureError(sql, arguments)

        return note


def search(query: dict[str, Any]) -> Statement:
    """The statement of a search for all matches."""
    return _capture(lambda connection: images.search(connection, _conditions(query), 1001))


def export() -> Statement:
    """The rows that an export of everything copies out."""

    async def write(data: bytes) -> None: ...

    return _capture(lambda connection: images.copy(connection, _conditions({}), write, keyed=True))


def registration(body: dict[str, Any], image_id: str) -> Statement:
    """The statement of a register."""
    image = checked_registration(body)
    return _capture(lambda connection: images.insert(connection, image, image_id))


def change(body: dict[str, Any]) -> Statement:
    """The statement of an update."""
    return _capture(lambda connection: update(connection, body))


def checked_registration(body: Any) -> Image:
    """Validate as the service does."""
    image = check_registration(body, RULES).image
    assert image is not None, body
    return image


async def register(connection: Connection, body: Any) -> bool:
    """Validate and insert with the service's own statement, and nothing around it."""
    written = await images.insert(connection, checked_registration(body), uuid4().hex)
    return written.version is not None


async def update(connection: Connection, body: Any) -> bool:
    """Validate and update with the service's own statement, and nothing around it."""
    checked = check_update(body, RULES)
    assert checked.image is not None, body
    written = await images.update(connection, checked.image, checked.present, None, [])
    return written is not None and written.version is not None


def _conditions(query: dict[str, Any]) -> Conditions:
    conditions = check_conditions(query)
    assert isinstance(conditions, Conditions), conditions
    return conditions


def _capture(call: Callable[[Any], Any]) -> Statement:
    try:
        call(_Recorder()).send(None)
    except _CaptureError as captured:
        return Statement(*captured.args)
    raise AssertionError("no statement was run")


def _literal(value: Any, stand_ins: dict[str, str]) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, UUID):
        return f"{_literal(value.hex, stand_ins)}::uuid"
    if isinstance(value, list | tuple | frozenset):
        kind = "integer[]" if all(isinstance(item, int) for item in value) and value else "text[]"
        return f"ARRAY[{','.join(_literal(item, stand_ins) for item in value)}]::{kind}"
    # pgbench would take what follows a colon for a variable.
    escaped = str(value).replace("\\", "\\\\").replace("'", "''").replace(":", "\\003A")
    text = f"U&'{escaped}'::text"
    for old, new in stand_ins.items():
        if old in str(value):
            text = f"replace({text}, '{old}', {new})"
    return text
