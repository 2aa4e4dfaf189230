"""The one place where the benchmarks extract the service's work from its source, so that floors always match.

A statement is captured by calling the repository with a connection that records instead of executing; queries
by which the repository chooses its statement run on the real connection.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID, uuid4

from algoplatform.domain.access import TRUSTED
from algoplatform.domain.record.check import Rules, check_registration, check_update
from algoplatform.domain.record.model import Image
from algoplatform.domain.search import MAX_PAGE_SIZE, Conditions, check_conditions
from algoplatform.storage.images import single
from algoplatform.storage.images.register import Registration, insert
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.search.statements import ImageSearch

RULES: Final = Rules()
CALLER: Final = replace(TRUSTED, request_id=uuid4().hex)
_PLANNING: Final = """
    SELECT name, current_setting(name) FROM pg_settings
    WHERE source = 'client' AND category LIKE ANY (ARRAY['Query Tuning%', 'Resource Usage%', 'Client Connection Defaults%'])
      AND name NOT IN ('client_encoding', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with arguments $1, $2 ..., and the statements that set it up."""

    sql: str
    arguments: tuple[Any, ...]
    before: tuple[str, ...] = ()

    def inlined(self, stand_ins: dict[str, str] | None = None) -> str:
        """Inline the arguments as literals; in these, keys of `stand_ins` become SQL expressions."""
        text = self.sql
        for number in range(len(self.arguments), 0, -1):
            text = text.replace(f"${number}", _literal(self.arguments[number - 1], stand_ins or {}))
        return text


class _CaptureError(Exception):
    pass


class _Transaction:
    """A transaction that does nothing."""

    async def start(self) -> None: ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


class _Recorder:
    """A connection that records the statement instead of executing it."""

    def __init__(self, connection: Connection) -> None:
        self.fetchval = connection.fetchval
        self._before: list[str] = []

    def transaction(self, *, isolation: str) -> "_Transaction":
        self._before.append(f"SET TRANSACTION ISOLATION LEVEL {isolation.replace('_', ' ')}")
        return _Transaction()

    def abandon(self) -> None: ...

    async def execute(self, setting: str) -> None:
        self._before.append(setting)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def note(sql: str, *arguments: Any, **_: Any) -> Any:
            raise _CaptureError(sql, arguments, tuple(self._before))

        return note


async def search(connection: Connection, query: dict[str, Any]) -> Statement:
    """Return the statement of a search for all matches."""
    conditions = check_conditions(query)
    return await _capture(lambda noted: ImageSearch().records(noted, conditions, MAX_PAGE_SIZE + 1), connection)


async def export(connection: Connection) -> Statement:
    """Return the query that an export of everything copies out."""
    return await _capture(lambda noted: ImageSearch().copy(noted, Conditions(), _ignore, keyed=True), connection)


async def registration(connection: Connection, body: dict[str, Any], image_id: str) -> Statement:
    """Return the statement of a registration."""
    registration = Registration(CALLER, checked_registration(body), UUID(image_id))
    return await _capture(lambda noted: insert(noted, [registration]), connection)


async def change(connection: Connection, body: dict[str, Any]) -> Statement:
    """Return the statement of an update."""
    return await _capture(lambda noted: update(noted, body), connection)


def planner_settings(dsn: str) -> dict[str, str]:
    """Return the planner settings that the service sets when it connects."""

    async def ask() -> dict[str, str]:
        async with Database.open(dsn) as database, database.connection() as connection:
            return {row[0]: row[1] for row in await connection.fetch(_PLANNING)}

    return asyncio.run(ask())


async def _ignore(data: bytes) -> None: ...


def taken(dsn: str, *makers: Callable[[Connection], Awaitable[Statement]]) -> list[Statement]:
    """Capture statements, outside of an event loop."""

    async def take() -> list[Statement]:
        async with Database.open(dsn) as database, database.connection() as connection:
            return [await maker(connection) for maker in makers]

    return asyncio.run(take())


def checked_registration(body: Any) -> Image:
    """Validate as the service does."""
    image = check_registration(body, RULES).image
    assert image is not None, body
    return image


async def register(connection: Connection, body: Any) -> bool:
    """Validate and insert with the service's own statement, and nothing else."""
    [written] = await insert(connection, [Registration(CALLER, checked_registration(body), uuid4())])
    return written.version is not None


async def update(connection: Connection, body: Any) -> bool:
    """Validate and update with the service's own statement, and nothing else."""
    checked = check_update(body, RULES)
    assert checked.image is not None, body
    written = await single.update(connection, CALLER, checked.image, checked.present, None, [])
    return written is not None and written.version is not None


async def _capture(call: Callable[[Any], Awaitable[Any]], connection: Connection) -> Statement:
    try:
        await call(_Recorder(connection))
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
    # pgbench would expand a colon and what follows it as a variable.
    escaped = str(value).replace("\\", "\\\\").replace("'", "''").replace(":", "\\003A")
    text = f"U&'{escaped}'::text"
    for old, new in stand_ins.items():
        if old in str(value):
            text = f"replace({text}, '{old}', {new})"
    return text
