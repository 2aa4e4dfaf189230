"""The changes that an upload would make, by image."""

from algoplatform.domain.uploads import OnConflict
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.upload.changes import find
from tests.storage.upload.test_staging import stage, valid, write


async def test_changes(database: Database) -> None:
    """Updates come first, with their fields in the order of the record; skipped images are listed as skipped."""
    async with database.connection() as connection:
        await write(connection, valid("a"), valid("same"))
        async with connection.transaction():
            await stage(connection, valid("a", factory="新", algoType="2"), valid("b"), valid("same"))
            updated = await find(connection, OnConflict.UPDATE)
            skipped = await find(connection, OnConflict.SKIP)
    assert [(change.image, change.action, list(change.fields)) for change in updated] == [
        ("algo/a:1.0", "update", ["factory", "algoType"]),
        ("algo/b:1.0", "create", []),
    ]
    assert [(change.image, change.action) for change in skipped] == [
        ("algo/a:1.0", "skip"),
        ("algo/b:1.0", "create"),
        ("algo/same:1.0", "skip"),
    ]
