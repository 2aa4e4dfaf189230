"""Cache validation: two equal stamps mean that no transaction has ended in between."""

from typing import Final

from algoplatform.storage.postgres.batching import Gathering
from algoplatform.storage.postgres.pool import Database

# A snapshot lists the transactions in progress: while it is the same, none has ended. The start time is added
# because another or a restarted server may reach the same numbers; on a standby, snapshots omit some running
# transactions, so there is no stamp.
STAMP: Final = (
    "CASE WHEN pg_is_in_recovery() THEN '' ELSE concat(pg_current_snapshot(), ' ', pg_postmaster_start_time()) END"
)
_ASKED: Final = f"SELECT {STAMP}"


class Stamps:
    """Stamps of the database state: a later state never has an equal one; empty on a standby."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering = Gathering(self._read)

    async def now(self) -> str:
        """Return a stamp not older than this call; raise Unavailable like any statement."""
        return await self._gathering.ask(None)

    async def _read(self, asking: list[None]) -> list[str]:
        async with self._database.connection() as connection:
            [[stamp]] = await connection.fetch(_ASKED, timeout=connection.prompt)
        return [stamp] * len(asking)
