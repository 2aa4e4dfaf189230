"""COPY directly into an empty registry writes images and edges, or raises NotOnlyNew."""

from uuid import uuid4

import asyncpg
import pytest

from algoplatform.domain.access import TRUSTED
from algoplatform.domain.record.model import Image
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.upload import bulk, staging
from tests.storage.upload.test_staging import rows, valid


async def copy(database: Database, *images: Image) -> None:
    """Copy images in one transaction."""
    given = (staging.row(at, image, uuid4().hex) for at, image in enumerate(images, 1))
    async with database.connection() as connection, connection.transaction(), bulk.refusing_conflicts():
        await bulk.begin(connection)
        await bulk.fill(connection, TRUSTED, rows(*given))


async def test_images_with_edges(database: Database, aside: asyncpg.Connection) -> None:
    """Images are written as by an upload, and linked in whatever order the file has."""
    await copy(database, valid("app", dependencyServiceId="algo/base:1.0"), valid("base"))
    assert await aside.fetchval("SELECT count(*) FROM image WHERE operation = 'upload' AND live") == 2
    assert await aside.fetchval("SELECT count(*) FROM image_dependency") == 1


@pytest.mark.parametrize(
    "last",
    [valid("base"), valid("app", dependencyServiceId="algo/none:1.0")],
    ids=["a name that repeats", "a dependency that is missing"],
)
async def test_conflicts_leave_nothing(database: Database, aside: asyncpg.Connection, last: Image) -> None:
    """A conflict raises NotOnlyNew, and nothing is written."""
    with pytest.raises(bulk.NotOnlyNew):
        await copy(database, valid("base"), last)
    assert await aside.fetchval("SELECT count(*) FROM image") == 0


async def test_only_an_empty_registry(database: Database) -> None:
    """A registry with any image is not empty, and a concurrent upload is a conflict, too."""
    async with database.connection() as connection:
        assert await bulk.is_empty(connection)
        async with connection.transaction():
            await staging.lock(connection)
            with pytest.raises(bulk.NotOnlyNew):
                await copy(database, valid("base"))
    await copy(database, valid("base"))
    async with database.connection() as connection:
        assert not await bulk.is_empty(connection)
    with pytest.raises(bulk.NotOnlyNew):
        await copy(database, valid("other"))
