"""A connection to PostgreSQL on which every operation has an end, also where the server or the network says nothing."""

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

from algoplatform.storage.postgres.deadline import Deadline

if TYPE_CHECKING:
    Base: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Base = asyncpg.Connection

# What an operation may take that waits for no lock and reads next to nothing.
_PROMPT_SECONDS: Final = 5.0
# What each row of a COPY may add to the statements after it in the same transaction, which work on all of them.
_SECONDS_PER_ROW: Final = 0.005
_KEEPALIVE: Final = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
_UNACKNOWLEDGED_SECONDS: Final = 900


class Session(Base):
    """asyncpg's connection with a deadline for each operation; asyncpg's own timeouts wait in places for the server.

    `timeout` of an operation is its deadline. An operation out of time raises TimeoutError at once. asyncpg then asks the server over a
    new connection to cancel it; this one is lost, which refuses whatever else is asked of it, and the pool drops it.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.deadline = Deadline(None)
        # Whether settings of a session do not last: behind a pooler of transactions.
        self.pooled = False
        # Whether the database's address says how long to wait for locks.
        self.lock_timeout_given = False
        self.used = self._since = time.monotonic()
        self._usual_limit: float | None = None
        self._copied = 0

    def prepare_use(self, limit: float | None, *, pooled: bool, lock_timeout_given: bool) -> None:
        """Set how long operations may take, and have the kernel look after a TCP connection."""
        self._usual_limit = self.deadline.limit = limit
        self.pooled, self.lock_timeout_given = pooled, lock_timeout_given
        found = self._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # the stubs call it an object
        if found is None or found.family == socket.AF_UNIX:
            return
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE.items():
                found.setsockopt(socket.IPPROTO_TCP, option, value)
            # Not less than a deadline: a server that waits for a lock does not take in what a COPY sends either.
            seconds = (limit or _UNACKNOWLEDGED_SECONDS) + 1
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))

    @property
    def prompt(self) -> float:
        """The `timeout` of an operation that waits for no lock and reads next to nothing."""
        return min(_PROMPT_SECONDS, self.deadline.limit or _PROMPT_SECONDS)

    def age(self) -> float:
        """Tell for how many seconds it has been there."""
        return time.monotonic() - self._since

    def released(self, now: float) -> None:
        """Forget what the last user has done."""
        self.used = now
        if self._copied:
            self._copied, self.deadline.limit = 0, self._usual_limit

    def abandon(self) -> None:
        """End what runs; one that did not answer in time the pool ends, as soon as the server was asked to stop."""
        if not self.deadline.lost:
            self.terminate()

    def terminate(self) -> None:
        """Close at once, and leave no timer behind."""
        self.deadline.stop()
        super().terminate()

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        """Run a statement, or several without arguments."""
        with self.deadline.of(timeout):
            return await super().execute(query, *args)

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[asyncpg.Record]:  # type: ignore[override]  # no record classes here
        """Read all rows."""
        with self.deadline.of(timeout):
            return await super().fetch(query, *args)

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> asyncpg.Record | None:  # type: ignore[override]  # as above
        """Read the first row."""
        with self.deadline.of(timeout):
            return await super().fetchrow(query, *args)

    async def fetchval(self, query: str, *args: object, column: int = 0, timeout: float | None = None) -> Any:
        """Read a value of the first row."""
        with self.deadline.of(timeout):
            return await super().fetchval(query, *args, column=column)

    async def copy_from_query(  # type: ignore[override]  # only to a function
        self, query: str, *args: object, output: Callable[[bytes], Awaitable[None]], **options: Any
    ) -> str:
        """Pass what COPY gives to `output`; the time that this takes is not the server's."""

        async def passed_on(data: bytes) -> None:
            self.deadline.pause()
            await output(data)
            self.deadline.restart()

        with self.deadline:
            return await super().copy_from_query(query, *args, output=passed_on, **options)

    async def copy_records_to_table(  # type: ignore[override]  # only rows that come by and by
        self, table_name: str, *, records: AsyncIterator[Sequence[object]], columns: Sequence[str] | None = None
    ) -> str:
        """Write rows by COPY; the time until the next row is there is not the server's."""

        async def awaited() -> AsyncIterator[Sequence[object]]:
            self.deadline.pause()
            async for record in records:
                self._copied += 1
                self.deadline.restart()
                yield record
                self.deadline.pause()
            self._allow_for_copied()
            self.deadline.restart()

        with self.deadline:
            return await super().copy_records_to_table(table_name, records=awaited(), columns=columns)

    async def copy_to_table(self, table_name: str, **options: Any) -> str:
        """Write a file by COPY."""
        with self.deadline:
            return await super().copy_to_table(table_name, **options)

    def _allow_for_copied(self) -> None:
        if self._usual_limit is not None:
            self.deadline.limit = self._usual_limit + self._copied * _SECONDS_PER_ROW
