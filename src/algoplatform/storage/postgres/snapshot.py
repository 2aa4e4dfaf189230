"""Cache validation: two equal stamps mean that no transaction has ended in between."""

from typing import Final

from algoplatform.storage.postgres.batching import Gathering
from algoplatform.storage.postgres.pool import Database

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
        self._gathering = Gathering(self._ask)

    async def now(self) -> str:
        """Return the stamp of a state not older than this call; Unavailable as any statement."""
        return await self._gathering.ask(None)

    async def _ask(self, asking: list[None]) -> list[str]:
        async with self._database.connection() as connection:
            stamp: str = await connection.fetchval(_ASKED, timeout=connection.prompt)
        return [stamp] * len(asking)
