"""Every kind of difference between edges and records is found."""

import asyncpg
import pytest

from algoplatform.storage.images import edges
from algoplatform.storage.images.edges import Drift
from algoplatform.storage.postgres.pool import Database
from tests.storage.images.test_single import registered

DELETES = "UPDATE image SET live = false, version = version + 1 WHERE image_name = 'algo/b'"


async def test_drift(database: Database, aside: asyncpg.Connection) -> None:
    """Finds a missing edge, a surplus edge, and a dependency that is no longer registered."""
    async with database.connection() as connection:
        for name in ("a", "b", "c"):
            await registered(connection, name)
        await registered(connection, "app", dependencyServiceId="algo/a:1.0,algo/b:1.0")
        assert [found async for found in edges.drift(connection)] == []
        await aside.execute("DELETE FROM image_dependency")
        await aside.execute(DELETES)
        await aside.execute(
            "INSERT INTO image_dependency SELECT a.image_id, c.image_id FROM image AS a, image AS c"
            " WHERE a.image_name = 'algo/app' AND c.image_name = 'algo/c'"
        )
        found = {item async for item in edges.drift(connection)}
        assert found == {
            Drift("algo/app:1.0", "algo/a:1.0", "missing"),
            Drift("algo/app:1.0", "algo/b:1.0", "unregistered"),
            Drift("algo/app:1.0", "algo/c:1.0", "surplus"),
        }


async def test_link_all_repairs(database: Database, aside: asyncpg.Connection) -> None:
    """Linking makes the edges equal to the records, and fails if a dependency is no longer registered."""
    async with database.connection() as connection:
        await registered(connection, "a")
        await registered(connection, "b")
        await registered(connection, "app", dependencyServiceId="algo/a:1.0,algo/b:1.0")
        await aside.execute("DELETE FROM image_dependency")
        await edges.link_all(connection, "SELECT image_id FROM image")
        assert [found async for found in edges.drift(connection)] == []
        await aside.execute("DELETE FROM image_dependency")
        await aside.execute(DELETES)
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await edges.link_all(connection, "SELECT image_id FROM image")
