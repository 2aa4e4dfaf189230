"""Revisions of an image, and restoring one."""

from dataclasses import replace
from typing import Any

import orjson

from algoplatform.domain.record.check import Rules, check_update
from algoplatform.domain.record.model import Image
from algoplatform.storage.images import revisions, single
from algoplatform.storage.postgres.pool import Database
from tests.storage.images.test_single import CALLER, registered, update_of
from tests.support.images import minimal


def state_of(image_id: str, name: str, **fields: Any) -> Image:
    """Return a whole record of an image."""
    image = check_update(minimal(f"algo/{name}", **fields) | {"imageId": image_id}, Rules()).image
    assert image is not None
    return image


async def test_history_and_restore(database: Database) -> None:
    """Each write is a revision, latest first; a restore is another one, with the columns of its record."""
    async with database.connection() as connection:
        given = await registered(connection, "a")
        other = replace(CALLER, subject="other")
        await single.update(connection, other, update_of(given, "a", factory="新"), frozenset({"factory"}), None, ())
        await single.delete(connection, CALLER, given, None, None)
        restored = await revisions.restore(connection, other, state_of(given, "a", factory="旧"), given, 3)
        assert restored.version == 4
        found, total = await revisions.history(connection, given, 2, 0)
        assert total == 4
        assert [(item.version, item.operation, item.actor) for item in found] == [
            (4, "restore", "other"),
            (3, "delete", "someone"),
        ]
        assert found[0].before == found[1].after
        assert orjson.loads(found[0].after or "")["factory"] == "旧"
        latest, second = await revisions.state(connection, given, None), await revisions.state(connection, given, 2)
        assert latest and (latest.version, latest.live, latest.namespace) == (4, True, "algo")
        assert second and second.version == 4 and orjson.loads(second.record or "")["factory"] == "新"


async def test_why_nothing_is_restored(database: Database) -> None:
    """A restore fails for a stale version, a missing dependency, or a name taken by another image."""
    async with database.connection() as connection:
        given = await registered(connection, "a")
        image = state_of(given, "a")
        assert (await revisions.restore(connection, CALLER, image, given, 2)).version is None
        needy = state_of(given, "a", dependencyServiceId="algo/none:1.0")
        assert (await revisions.restore(connection, CALLER, needy, given, 1)).missing == [1]
        await single.delete(connection, CALLER, given, None, None)
        await registered(connection, "a")
        taken = await revisions.restore(connection, CALLER, image, given, 2)
        assert (taken.version, taken.existed) == (None, True)


async def test_since(database: Database) -> None:
    """Returns each live image as it is now and as it was at a version, in the order of the request."""
    async with database.connection() as connection:
        given, gone = await registered(connection, "a"), await registered(connection, "b")
        await single.update(connection, CALLER, update_of(given, "a", factory="新"), frozenset({"factory"}), None, ())
        await single.delete(connection, CALLER, gone, None, None)
        asked = [(given, 1), (gone, 1), (given, 2), (given, 3), (given, None), ("0" * 32, 1), (given, 10**17)]
        found = await revisions.since(connection, asked)
    first, latest = (
        orjson.loads(record or "") for record in (found[0] and found[0].before, found[0] and found[0].record)
    )
    assert (first["factory"], latest["factory"]) == ("易华录", "新")
    assert [each and (each.version, each.before is not None) for each in found] == [
        (2, True),
        None,
        (2, True),
        (2, False),
        (2, False),
        None,
        (2, False),
    ]
