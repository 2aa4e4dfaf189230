"""The connection pool."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Final, TypeAlias

import asyncpg
import structlog

from algoplatform.domain.errors import Busy, Unavailable
from algoplatform.storage.postgres.connecting import Connect
from algoplatform.storage.postgres.deadline import TIDYING_SECONDS
from algoplatform.storage.postgres.outage import IN_THE_WAY, is_passing
from algoplatform.storage.postgres.places import Places
from algoplatform.storage.postgres.session import Session

Connection: TypeAlias = Session

log = structlog.get_logger()

_IDLE_SECONDS: Final = 240
_TIDY_SECONDS: Final = 60
_BURIAL_ATTEMPTS: Final = 5
# Added to statement_timeout, so that the server, if it responds, cancels the statement first.
_GRACE_SECONDS: Final = 0.5


class Database:
    """A pool of sessions, reused as they are, without a round trip for a reset.

    Requests for a connection are served in order. Writes hold at most half of the connections, and writes and
    streams together leave at least one for small reads (if there are two or more), so that long operations
    cannot block all others. The pool never waits for a connection that did not answer in time.
    """

    def __init__(self, connect: Connect, size: int, timeout: float, limit: float | None) -> None:
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._limit = limit
        self._slots = Places(size)
        self._writes = Places(max(1, size // 2))
        self._streams = Places((size - 1) // 2) if size > 2 else self._writes
        self._sessions: set[Session] = set()
        self._idle: list[Session] = []
        self._burials: set[asyncio.Task[None]] = set()
        self._stuck_since: float | None = None
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        size: int = 10,
        timeout: float = 5,
        statement_timeout: float = 60,
        prepared_statements: bool = True,
    ) -> AsyncIterator["Database"]:
        """Open the pool without connecting: a server that is down affects readiness, not the start.

        `timeout` and `statement_timeout` in seconds.
        """
        limit = statement_timeout + _GRACE_SECONDS if statement_timeout else None
        connect = Connect(url, timeout, statement_timeout, limit, pooled=not prepared_statements)
        database = cls(connect, size, timeout, limit)
        database._tidy()
        try:
            yield database
        finally:
            await database._close()

    def connection(self, *, write: bool = False, stream: bool = False) -> "Lease":
        """Lend a connection in autocommit mode; raise Busy if none becomes free, Unavailable in an outage."""
        return Lease(self, self._writes if write else self._streams if stream else None)

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[Session]:
        """Open a session outside of the pool, for a lock that is held while the pool serves requests."""
        try:
            session = await self._connect()
        except (*IN_THE_WAY, asyncpg.PostgresError) as error:
            _raise_unavailable(error)
            raise
        try:
            yield session
            await session.close(timeout=TIDYING_SECONDS)
        finally:
            session.terminate()

    def name_of(self, share: Places | None) -> str:
        """Return the name of a share, for the log."""
        return "read" if share is None else "write" if share is self._writes else "stream"

    def take_idle(self, share: Places | None) -> Session | None:
        """Return an idle session within the given share, None if there is none; the caller must give it back."""
        if self._slots.locked() or (share is not None and share.locked()):
            return None
        session = self._at_hand()
        if session is not None:
            self._slots.take()
            if share is not None:
                share.take()
        return session

    async def take(self, share: Places | None) -> Session:
        """Return a session, within the pool's timeout and the given share; the caller must give it back."""
        self._stuck_since = self._stuck_since or time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                session = await self._taken(share)
        except TimeoutError:
            if self._is_busy(share):
                raise Busy from None
            raise
        self._stuck_since = None
        return session

    async def _taken(self, share: Places | None) -> Session:
        if share is not None:
            await share.acquire()
        try:
            await self._slots.acquire()
            try:
                return self._at_hand() or await self._opened()
            except BaseException:
                self._slots.release()
                raise
        except BaseException:
            if share is not None:
                share.release()
            raise

    def _at_hand(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if not session.is_closed():
                return session
            self._forget(session)
        return None

    async def _opened(self) -> Session:
        session = await self._connect()
        self._sessions.add(session)
        return session

    def give_back(self, session: Session, share: Places | None) -> None:
        """Return a session to the pool, or close it if it cannot be reused."""
        if session.is_closed() or self._closing:
            self._forget(session)
        elif session.deadline.lost:
            self._give_up(session)
        elif session.is_in_transaction():
            self._forget(session)
        else:
            session.released(time.monotonic())
            self._idle.append(session)
        self._stuck_since = None
        if share is not None:
            share.release()
        self._slots.release()

    def _give_up(self, session: Session) -> None:
        """Drop a session that did not answer, and have the server end it in the background."""
        log.warning("connection_silent", limit_s=self._limit)
        self._sessions.discard(session)
        burial = asyncio.create_task(self._bury(session))
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)
        # Sessions idle since before that operation may be dead too: drop them, or each costs a caller a timeout.
        since = time.monotonic() - (self._limit or 0)
        for idle in [idle for idle in self._idle if idle.used < since]:
            self._idle.remove(idle)
            self._forget(idle)

    async def _bury(self, session: Session) -> None:
        """Terminate the backend to free its locks: while it waits for COPY data, it ignores cancel requests."""
        try:
            if session.pooled:
                # The backend belongs to the pooler; wait for asyncpg's cancel request instead.
                await asyncio.sleep(TIDYING_SECONDS)
                return
            for _ in range(_BURIAL_ATTEMPTS):
                # Retry, as this connection may be silent too, or the pool busy, and the locks would stay.
                with suppress(Unavailable, asyncpg.PostgresError):
                    async with self.connection() as other:
                        await other.execute(_END, session.get_server_pid(), session.age(), timeout=other.prompt)
                    return
                await asyncio.sleep(TIDYING_SECONDS)
        finally:
            session.terminate()

    def _forget(self, session: Session) -> None:
        self._sessions.discard(session)
        session.terminate()

    def usage(self) -> dict[str, int]:
        """Count the pool's connections: open, idle, and the maximum."""
        idle = sum(not session.is_closed() for session in self._idle)
        return {"open": len(self._sessions) - len(self._idle) + idle, "idle": idle, "max": self._size}

    def _is_busy(self, share: Places | None) -> bool:
        """Return whether the pool is fully used (Busy) rather than the server silent.

        The server counts as silent if no connection was taken or given back for longer than the statement limit.
        """
        in_use = len(self._sessions) - len(self._idle) >= self._size or (share is not None and share.locked())
        since = self._stuck_since
        return in_use and (since is None or self._limit is None or time.monotonic() - since < self._limit)

    def _tidy(self) -> None:
        """Close connections that were idle for 240 seconds; runs every 60 seconds."""
        self._timer = asyncio.get_running_loop().call_later(_TIDY_SECONDS, self._tidy)
        since = time.monotonic() - _IDLE_SECONDS
        # Most recently used last.
        while self._idle and (self._idle[0].used < since or self._idle[0].is_closed()):
            self._forget(self._idle.pop(0))

    async def _close(self) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        # Close properly: PostgreSQL logs clients that disconnect without a message.
        await asyncio.gather(*(idle.close(timeout=TIDYING_SECONDS) for idle in self._idle), return_exceptions=True)
        for burial in self._burials:
            burial.cancel()
        await asyncio.gather(*self._burials, return_exceptions=True)
        for session in list(self._sessions):
            session.terminate()
        # The event loop closes the sockets in its next iteration.
        await asyncio.sleep(0)


# Checks pid, user and age of the backend: the pid may have been reused, or belong to another server.
_END: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = $1 AND usename = current_user AND abs(extract(epoch FROM clock_timestamp() - backend_start) - $2::float8) < 10
"""


class Lease:
    """A connection for the duration of a block; connection failures are raised as Unavailable."""

    __slots__ = ("_database", "_session", "_share")

    def __init__(self, database: Database, share: Places | None) -> None:
        self._database = database
        self._share = share

    async def __aenter__(self) -> Session:
        session = self._database.take_idle(self._share)
        if session is None:
            try:
                session = await self._database.take(self._share)
            except Busy:
                log.warning("pool_exhausted", share=self._database.name_of(self._share))
                raise
            except (*IN_THE_WAY, asyncpg.PostgresError) as error:
                _raise_unavailable(error)
                raise
        self._session = session
        return session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._session.deadline.interrupted:
                await _settled(self._session)
        finally:
            self._database.give_back(self._session, self._share)
        if isinstance(error, RuntimeError) and self._session.is_closed():
            # asyncpg wrote to a transport that uvloop had just closed, for example as the server died during a COPY.
            error = asyncpg.ConnectionDoesNotExistError("the connection was lost")
        if error is not None:
            _raise_unavailable(error)


async def _settled(session: Session) -> None:
    """Wait briefly for the end of a cancelled operation; mark the session lost if it does not respond."""
    try:
        await session.execute("SELECT")
    except (*IN_THE_WAY, asyncpg.PostgresError):
        session.deadline.lost = True
    except BaseException:
        session.deadline.lost = True
        raise


def _raise_unavailable(error: BaseException) -> None:
    """Raise Unavailable for a transient error; return for all others."""
    if is_passing(error):
        log.warning("database_unavailable", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
        raise Unavailable from error
