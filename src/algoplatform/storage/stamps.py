"""Whether anything was committed since: asked for all who want to know at once, so that what was read once need not be read again."""

import asyncio
from typing import Final

from algoplatform.storage.database import Database

# The snapshot names the transactions that are not visible: while it is the same, no transaction has ended. Another server,
# or this one started anew, may come to the same numbers; a standby's snapshot leaves out some transactions that are running.
STAMP: Final = (
    "CASE WHEN pg_is_in_recovery() THEN '' ELSE concat(pg_current_snapshot(), ' ', pg_postmaster_start_time()) END"
)
_ASKED: Final = f"SELECT {STAMP}"


class Stamps:
    """The state of the database as a text that no later state has again; empty where that cannot be told."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[asyncio.Future[str]] = []
        self._asking: asyncio.Task[None] | None = None
        self._last: str | None = None

    async def earlier(self) -> str:
        """Give the stamp of a state not younger than this call: the last that was asked for, if any was."""
        return await self.now() if self._last is None else self._last

    async def now(self) -> str:
        """Give the stamp of a state not older than this call; Unavailable as any statement.

        Whoever calls while one question is on its way gets the answer to the next, which is put for all of them.
        """
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await waiter

    async def _ask(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                await self._answer(waiting)
        finally:
            self._asking = None

    async def _answer(self, waiting: list["asyncio.Future[str]"]) -> None:
        try:
            async with self._database.connection() as connection:
                stamp: str = await connection.fetchval(_ASKED)
        except Exception as error:
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_exception(error)
        else:
            self._last = stamp
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(stamp)
