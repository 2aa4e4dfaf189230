"""A connection to PostgreSQL whose operations end in time, even if the server or the network is silent."""

import asyncio
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

# Limit in seconds for operations that wait for no lock and read next to nothing.
_PROMPT_SECONDS: Final = 5.0
# Extra seconds per row of a COPY for the later statements of its transaction, which process all rows.
_SECONDS_PER_ROW: Final = 0.005
_KEEPALIVE: Final = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
_UNACKNOWLEDGED_SECONDS: Final = 900
# Bytes of a COPY that may wait for the server: while it updates indexes, the next rows are prepared.
_UNSENT: Final = 2 * 1024 * 1024
# Control characters, which compact JSON never contains, so that COPY outputs records unchanged, one per line.
_UNCHANGED: Final[dict[str, Any]] = {"format": "csv", "delimiter": "\x1e", "quote": "\x1f"}


class Session(Base):
    """asyncpg's connection with a deadline for each operation.

    asyncpg's own timeouts sometimes wait for the server. The `timeout` of an operation, in seconds, is its
    deadline. An operation that exceeds it raises TimeoutError at once, and asyncpg asks the server over a new
    connection to cancel it. The session is then lost: it rejects all further operations, and the pool drops
    it.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.deadline = Deadline(None)
        # Whether it is behind a transaction pooler, where session settings do not persist.
        self.pooled = False
        # Whether the database URL sets lock_timeout.
        self.lock_timeout_given = False
        # The `timeout` in seconds for operations that wait for no lock and read next to nothing.
        self.prompt = _PROMPT_SECONDS
        self.used = self._since = time.monotonic()
        self._usual_limit: float | None = None
        self._copied = 0

    def prepare_use(self, limit: float | None, *, pooled: bool, lock_timeout_given: bool) -> None:
        """Set the limit in seconds of operations, what may wait unsent, and TCP keepalive and user timeout."""
        self._usual_limit = self.deadline.limit = limit
        self.prompt = min(_PROMPT_SECONDS, limit or _PROMPT_SECONDS)
        self.pooled, self.lock_timeout_given = pooled, lock_timeout_given
        transport: asyncio.Transport = self._transport  # type: ignore[attr-defined]  # the stubs lack it
        # asyncpg writes half a MiB at a time; the deadline watches whether the server reads on.
        transport.set_write_buffer_limits(high=_UNSENT, low=_UNSENT // 4 * 3)
        found = transport.get_extra_info("socket")
        if found is None or found.family == socket.AF_UNIX:
            return
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE.items():
                found.setsockopt(socket.IPPROTO_TCP, option, value)
            # Not below the deadline: a backend that waits for a lock does not read COPY data either.
            seconds = (limit or _UNACKNOWLEDGED_SECONDS) + 1
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))

    def age(self) -> float:
        """Return the age of the session in seconds."""
        return time.monotonic() - self._since

    def released(self, now: float) -> None:
        """Reset the state of the last use; `now` is monotonic time in seconds."""
        self.used = now
        if self._copied:
            self._copied, self.deadline.limit = 0, self._usual_limit

    def abandon(self) -> None:
        """Close the session, unless it did not answer in time: the pool closes that one after the cancel request."""
        if not self.deadline.lost:
            self.terminate()

    def terminate(self) -> None:
        """Close at once and cancel the timer."""
        self.deadline.stop()
        super().terminate()

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        """Run a statement, or several if there are no arguments."""
        with self.deadline.of(timeout):
            return await super().execute(query, *args)

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[asyncpg.Record]:  # type: ignore[override]  # has no record_class
        with self.deadline.of(timeout):
            return await super().fetch(query, *args)

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> asyncpg.Record | None:  # type: ignore[override]  # as above
        with self.deadline.of(timeout):
            return await super().fetchrow(query, *args)

    async def fetchval(self, query: str, *args: object, column: int = 0, timeout: float | None = None) -> Any:
        with self.deadline.of(timeout):
            return await super().fetchval(query, *args, column=column)

    async def copy_from_query(  # type: ignore[override]  # takes only a function as output
        self, query: str, *args: object, output: Callable[[bytes], Awaitable[None]]
    ) -> str:
        """Stream records by COPY to `output`, whose time does not count against the deadline."""

        async def passed_on(data: bytes) -> None:
            self.deadline.pause()
            await output(data)
            self.deadline.restart()

        with self.deadline:
            return await super().copy_from_query(query, *args, output=passed_on, **_UNCHANGED)

    async def copy_records_to_table(  # type: ignore[override]  # takes only an async iterator of rows
        self, table_name: str, *, records: AsyncIterator[Sequence[object]], columns: Sequence[str] | None = None
    ) -> str:
        """Write rows by COPY; waiting for the next row does not count against the deadline."""

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
        with self.deadline:
            return await super().copy_to_table(table_name, **options)

    def _allow_for_copied(self) -> None:
        if self._usual_limit is not None:
            self.deadline.limit = self._usual_limit + self._copied * _SECONDS_PER_ROW
