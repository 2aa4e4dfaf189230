"""The way to PostgreSQL: a pool of asyncpg connections, and which of its errors mean "try again later"."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import structlog

from algoplatform.domain.errors import Busy, Unavailable
from algoplatform.storage import dsn

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

log = structlog.get_logger()

_IDLE_SECONDS = 240
_TIDY_SECONDS = 60
# What a write may take beyond its statement's time: the server is to end it first, where it can.
_GRACE_SECONDS = 1

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
    """A pool of connections; each is handed out as it is, with no round trip to reset it.

    What comes back in order is handed to who waits, or kept at hand for the next request: to acquire and release it anew takes
    asyncpg a task and two timers, a quarter of a small search. The pool itself sees to the rest: opening, closing, and what went wrong.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", timeout: float, limit: float | None) -> None:
        self._pool = pool
        self._timeout = timeout
        self._limit = limit
        self._at_hand: list[Connection] = []
        self._lent = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._stuck_since: float | None = None
        self._closing = False

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
        """Open the pool without waiting for the server: a database that is away is a matter of readiness, not of start.

        Without prepared statements nothing is left in a session, and nothing asked of it but its name: a pooler may hand out
        another session for each transaction, and the settings of a session have to be the database role's.
        """
        session = {"application_name": "algoplatform"}
        if prepared_statements:
            session |= {
                "statement_timeout": str(int(statement_timeout * 1000)),
                # Compiling a plan, or starting helpers to walk an index, takes longer than a search.
                "jit": "off",
                "min_parallel_index_scan_size": "1TB",
                # A plan made while a table was small would scan it, and be kept while it grows.
                "enable_seqscan": "off",
                # Each statement is written for one plan; making another for the values takes as long as running it.
                "plan_cache_mode": "force_generic_plan",
            }
        limit = statement_timeout + _GRACE_SECONDS if statement_timeout else None
        address = dsn.parse(url)

        async def prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
            dsn.set_socket_options(connection, address)

        pool = asyncpg.create_pool(
            **address.arguments(session, timeout),
            connection_class=_sessions(limit),
            init=prepare,
            min_size=0,
            max_size=size,
            reset=_no_reset,
            max_inactive_connection_lifetime=_IDLE_SECONDS,
            statement_cache_size=100 if prepared_statements else 0,
        )
        async with pool:
            database = cls(pool, timeout, limit)
            tidying = asyncio.create_task(database._tidy())
            try:
                yield database
            finally:
                database._closing = True
                tidying.cancel()
                await database._clear()

    def connection(self) -> "Lease":
        """Lend a connection; each statement is a transaction of its own unless one is begun. Unavailable where none is to be had."""
        return Lease(self)

    def at_hand(self) -> "Connection | None":
        """Give a connection that is at hand and open; None where the pool must see to one."""
        if self._at_hand and _is_open(self._at_hand[-1]):
            return self._at_hand.pop()
        return None

    async def take(self) -> Connection:
        """Give a connection of the pool's, or where all are in use the one that is done with next; whoever takes it gives it back.

        Nobody waits for the pool itself, to which only what is out of order goes back.
        """
        while self._at_hand:
            await self.give_back(self._at_hand.pop())
        self._stuck_since = self._stuck_since or time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._handed_on() or await self._acquired()
        except TimeoutError:
            if self._is_busy():
                raise Busy from None
            raise
        self._stuck_since = None
        return connection

    async def _acquired(self) -> Connection:
        self._lent += 1
        try:
            return await self._pool.acquire()
        except BaseException:
            self._lent -= 1
            self._hand_on(None)
            raise

    async def _handed_on(self) -> "Connection | None":
        """Wait in turn for a connection; None as soon as the pool has one."""
        while self._lent >= self._pool.get_max_size():
            waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                connection = await waiter
            except asyncio.CancelledError:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                elif not waiter.cancelled():
                    await self._pass_by(waiter.result())
                raise
            if connection is not None:
                return connection
        return None

    async def _pass_by(self, connection: "Connection | None") -> None:
        if connection is None:
            self._hand_on(None)
        elif not self.keep(connection):
            await self.give_back(connection)

    def _hand_on(self, connection: "Connection | None") -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def keep(self, connection: Connection) -> bool:
        """Hand a connection that was left in order to who waits, or keep it at hand; False where the pool has to have it."""
        if self._closing or not _is_open(connection):
            return False
        if not self._hand_on(connection):
            self._at_hand.append(connection)
        self._stuck_since = None
        return True

    async def give_back(self, connection: Connection) -> None:
        """Let the pool have a connection back, and see to what is wrong with it."""
        try:
            await self._pool.release(connection)
        finally:
            self._lent -= 1
            self._hand_on(None)

    def usage(self) -> dict[str, int]:
        """Count the pool's connections: open, idle, and the most there may be."""
        return {
            "open": self._pool.get_size(),
            "idle": self._pool.get_idle_size() + sum(map(_is_open, self._at_hand)),
            "max": self._pool.get_max_size(),
        }

    def _is_busy(self) -> bool:
        """Tell a pool of which all is in use from a server that says nothing: no statement may take longer than its time."""
        in_use = self._pool.get_size() == self._pool.get_max_size() and not self._pool.get_idle_size()
        since = self._stuck_since
        return in_use and (since is None or self._limit is None or time.monotonic() - since < self._limit)

    async def _tidy(self) -> None:
        """Let the pool have all that is idle now and then: it closes what is worn out, or was not needed for long."""
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            await self._clear()

    async def _clear(self) -> None:
        # Each is in the list until the pool has it, lest one be lost where this is cancelled; those of now, no more.
        for _ in range(len(self._at_hand)):
            if self._at_hand:
                await self.give_back(self._at_hand.pop(0))


class Lease:
    """A connection for as long as a block runs; what PostgreSQL is in the way of becomes Unavailable."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> Connection:
        """Take a connection."""
        connection = self._database.at_hand()
        if connection is None:
            try:
                connection = await self._database.take()
            except Busy:
                log.warning("pool_exhausted")
                raise
            except (*_OF_THE_WAY, asyncpg.PostgresError) as error:
                _raise_unavailable(error)
                raise
        self._connection = connection
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        if error is None and self._database.keep(self._connection):
            return
        try:
            await self._database.give_back(self._connection)
        except (*_OF_THE_WAY, asyncpg.PostgresError) as failed:
            _raise_unavailable(failed)
            raise
        if error is not None:
            _raise_unavailable(error)


def _raise_unavailable(error: BaseException) -> None:
    """Raise what a passing failure is to the client; nothing where it is another."""
    if is_passing(error):
        log.warning("database_unavailable", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
        raise Unavailable from error


def _is_open(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it was lost, and the pool has taken it back
        return False


def _sessions(limit: float | None) -> "type[asyncpg.Connection[asyncpg.Record]]":
    """Make the class of connections that know how long a write may take."""

    class Session(asyncpg.Connection):
        write_timeout = limit

    return Session


async def _no_reset(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Nothing here changes a session: settings are SET LOCAL, locks are of the transaction, cursors are not kept."""
