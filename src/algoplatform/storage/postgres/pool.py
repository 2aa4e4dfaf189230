"""The way to PostgreSQL: a pool of asyncpg connections, and which of its errors mean "try again later"."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, TypeAlias

import asyncpg
import structlog

from algoplatform.domain.errors import Busy, Unavailable
from algoplatform.storage.postgres.connecting import Connect
from algoplatform.storage.postgres.deadline import TIDYING_SECONDS
from algoplatform.storage.postgres.session import Session

Connection: TypeAlias = Session

log = structlog.get_logger()

_IDLE_SECONDS: Final = 240
_TIDY_SECONDS: Final = 60
# What an operation may take beyond its statement's time: the server is to end it first, where it can.
_GRACE_SECONDS: Final = 0.5

# SQLSTATE classes: connection, refused login, rollback by the server, resources, operator intervention; and a database
# that is not there (yet), a standby's "read only", and a lock that was not to be had within the role's lock_timeout.
_PASSING = ("08", "28", "40", "53", "57", "3D000", "25006", "55P03")
# Of those, what is due to others who write the same at the same time: a deadlock, and the lock.
_CONTENTION = ("40P01", "55P03")

# The last is raised where none of several hosts is the primary, and by a connection that has just been told of the
# server's crash.
_OF_THE_WAY = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def is_passing(error: BaseException) -> bool:
    """Tell the failures that say nothing about the request: the same one may succeed later."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_PASSING)
    return isinstance(error, _OF_THE_WAY)


def is_outage(error: asyncpg.PostgresError) -> bool:
    """Tell what any statement would meet from what is due to what this one writes, and to who else writes it."""
    return is_passing(error) and error.sqlstate not in _CONTENTION


class Database:
    """A pool of sessions, each handed on as it is, with no round trip to reset it.

    Who waits gets one in turn. Writes together hold half of them at most, and streams no more than leaves one for small reads,
    so that what may take long cannot keep everybody else waiting. No connection is ever waited for that did not answer in time.
    """

    def __init__(self, connect: Connect, size: int, timeout: float, limit: float | None) -> None:
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._limit = limit
        self._slots = asyncio.Semaphore(size)
        self._writes = asyncio.Semaphore(max(1, size // 2))
        self._streams = asyncio.Semaphore((size - 1) // 2) if size > 2 else self._writes
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
        """Open the pool without waiting for the server: a database that is away is a matter of readiness, not of start."""
        limit = statement_timeout + _GRACE_SECONDS if statement_timeout else None
        connect = Connect(url, timeout, statement_timeout, limit, pooled=not prepared_statements)
        database = cls(connect, size, timeout, limit)
        database._tidy()
        try:
            yield database
        finally:
            await database._close()

    def connection(self, *, write: bool = False, stream: bool = False) -> "Lease":
        """Lend a connection; each statement is a transaction of its own unless one is begun. Unavailable where none is to be had."""
        return Lease(self, self._writes if write else self._streams if stream else None)

    def name_of(self, share: asyncio.Semaphore | None) -> str:
        """Name what a connection was to be taken for."""
        return "read" if share is None else "write" if share is self._writes else "stream"

    async def take(self, share: asyncio.Semaphore | None) -> Session:
        """Give a session within the pool's time, out of a share where it is to be part of one; whoever takes it gives it back."""
        if self._idle and not self._slots.locked() and (share is None or not share.locked()):
            return await self._taken(share)
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

    async def _taken(self, share: asyncio.Semaphore | None) -> Session:
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

    def give_back(self, session: Session, share: asyncio.Semaphore | None) -> None:
        """Keep a session for who comes next, unless it is of no use any more."""
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
        """Drop a session that did not answer: what ends it on the server's side has a moment, and nobody waits."""
        log.warning("connection_silent", limit_s=self._limit)
        self._sessions.discard(session)
        burial = asyncio.create_task(self._bury(session))
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)
        # So are those perhaps that have said nothing since: the next to come should not have to find out.
        since = time.monotonic() - (self._limit or 0)
        for idle in [idle for idle in self._idle if idle.used < since]:
            self._idle.remove(idle)
            self._forget(idle)

    async def _bury(self, session: Session) -> None:
        """Have the server end a session, with whatever it holds: one that waits for data of a COPY hears of no cancelling."""
        try:
            if session.pooled:
                # Its process is the pooler's affair; asyncpg's request to cancel gets its time.
                await asyncio.sleep(TIDYING_SECONDS)
                return
            async with self.connection() as other:
                await other.execute(_END, session.get_server_pid(), session.age(), timeout=other.prompt)
        except (Unavailable, asyncpg.PostgresError):
            pass  # then the server finds out by itself
        finally:
            session.terminate()

    def _forget(self, session: Session) -> None:
        self._sessions.discard(session)
        session.terminate()

    def usage(self) -> dict[str, int]:
        """Count the pool's connections: open, idle, and the most there may be."""
        idle = sum(not session.is_closed() for session in self._idle)
        return {"open": len(self._sessions) - len(self._idle) + idle, "idle": idle, "max": self._size}

    def _is_busy(self, share: asyncio.Semaphore | None) -> bool:
        """Tell a pool of which all is in use from a server that says nothing: no statement may take longer than its time."""
        in_use = len(self._sessions) - len(self._idle) >= self._size or (share is not None and share.locked())
        since = self._stuck_since
        return in_use and (since is None or self._limit is None or time.monotonic() - since < self._limit)

    def _tidy(self) -> None:
        """Close now and then what was not needed for long."""
        self._timer = asyncio.get_running_loop().call_later(_TIDY_SECONDS, self._tidy)
        since = time.monotonic() - _IDLE_SECONDS
        # The one used latest is last.
        while self._idle and (self._idle[0].used < since or self._idle[0].is_closed()):
            self._forget(self._idle.pop(0))

    async def _close(self) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        # PostgreSQL notes who goes without a word.
        await asyncio.gather(*(idle.close(timeout=TIDYING_SECONDS) for idle in self._idle), return_exceptions=True)
        for burial in self._burials:
            burial.cancel()
        await asyncio.gather(*self._burials, return_exceptions=True)
        for session in list(self._sessions):
            session.terminate()
        # The loop closes a socket in its next turn.
        await asyncio.sleep(0)


# A process of that number and that age is the one that is meant, and no later one, nor one of another server.
_END: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = $1 AND usename = current_user AND abs(extract(epoch FROM clock_timestamp() - backend_start) - $2::float8) < 10
"""


class Lease:
    """A connection for as long as a block runs; what PostgreSQL is in the way of becomes Unavailable."""

    __slots__ = ("_database", "_session", "_share")

    def __init__(self, database: Database, share: asyncio.Semaphore | None) -> None:
        self._database = database
        self._share = share

    async def __aenter__(self) -> Session:
        """Take a connection."""
        try:
            self._session = await self._database.take(self._share)
        except Busy:
            log.warning("pool_exhausted", share=self._database.name_of(self._share))
            raise
        except (*_OF_THE_WAY, asyncpg.PostgresError) as error:
            _raise_unavailable(error)
            raise
        return self._session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        try:
            if self._session.deadline.interrupted:
                await _settled(self._session)
        finally:
            self._database.give_back(self._session, self._share)
        if error is not None:
            _raise_unavailable(error)


async def _settled(session: Session) -> None:
    """Wait for the end of what was cancelled, for a moment; a session that cannot tell of it is lost."""
    try:
        await session.execute("SELECT")
    except (*_OF_THE_WAY, asyncpg.PostgresError):
        session.deadline.lost = True
    except BaseException:
        session.deadline.lost = True
        raise


def _raise_unavailable(error: BaseException) -> None:
    """Raise what a passing failure is to the client; nothing where it is another."""
    if is_passing(error):
        log.warning("database_unavailable", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
        raise Unavailable from error
