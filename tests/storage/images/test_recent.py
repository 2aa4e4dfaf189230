"""The cached number of live images."""

import asyncio

from algoplatform.storage.images.recent import LiveCount
from algoplatform.storage.postgres.pool import Database
from tests.storage.images.test_single import registered
from tests.support.counting import counting


async def test_callers_share_a_count(database_url: str) -> None:
    """Concurrent callers share one statement, and the number is kept for some seconds."""
    async with counting(database_url) as counter, Database.open(counter.dsn) as database:
        async with database.connection() as connection:
            await registered(connection, "a")
        live = LiveCount(database)
        counter.reset()
        assert await asyncio.gather(*(live.recent() for _ in range(5))) == [1] * 5
        assert counter.statements == 1
        async with database.connection() as connection:
            await registered(connection, "b")
        assert await live.recent() == 1
        assert await LiveCount(database).recent() == 2
