"""Sets of images: rows of the staging table, faults between records, counts and writes."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from algoplatform.domain.access import TRUSTED
from algoplatform.domain.faults import Code
from algoplatform.domain.record.check import Rules, check_registration
from algoplatform.domain.record.model import Image
from algoplatform.domain.record.partial import read
from algoplatform.domain.uploads import OnConflict
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.upload import staging
from tests.support.images import minimal


def valid(name: str, **fields: Any) -> Image:
    """Return a valid image."""
    image = check_registration(minimal(f"algo/{name}", **fields), Rules()).image
    assert image is not None
    return image


async def rows(*given: staging.StagedRow) -> AsyncIterator[staging.StagedRow]:
    """Yield rows as reading a file does."""
    for row in given:
        yield row


async def stage(connection: Connection, *images: Image) -> None:
    """Stage images, each with a new id."""
    await staging.fill(connection, rows(*(staging.row(at, image, uuid4().hex) for at, image in enumerate(images, 1))))


async def write(connection: Connection, *images: Image, on_conflict: OnConflict = OnConflict.UPDATE) -> tuple[int, int]:
    """Stage, write and link images in one transaction."""
    async with connection.transaction():
        await stage(connection, *images)
        assert await staging.faults(connection, OnConflict.UPDATE, 10) == ([], 0)
        done = await staging.write(connection, TRUSTED, on_conflict)
        await staging.link(connection)
    return done


async def test_counts_are_those_of_the_write(database: Database) -> None:
    """`count` returns what `write` will do: the numbers of new, changed and unchanged images."""
    async with database.connection() as connection:
        assert await write(connection, valid("a"), valid("b")) == (2, 0)
        given = (valid("a"), valid("b", factory="新"), valid("c"))
        async with connection.transaction():
            await stage(connection, *given)
            assert await staging.count(connection, OnConflict.UPDATE) == (1, 1)
            assert await staging.count(connection, OnConflict.SKIP) == (1, 0)
        assert await write(connection, *given) == (1, 1)
        assert await write(connection, *given, on_conflict=OnConflict.SKIP) == (0, 0)


async def test_locks_are_taken_in_the_order_of_bytes(sorted_by_language: Database) -> None:
    """New and changed images are written, and so locked, bytewise as registers do, whatever the database's order."""
    tags = ("a", "C", "b", "B")
    async with sorted_by_language.connection() as connection:
        for factory, done in (("旧", (4, 0)), ("新", (0, 4))):
            images = [valid("one", imageTag=tag, factory=factory) for tag in tags]
            assert await write(connection, *images) == done
            # An update writes a new version of the row, behind the rows that are there.
            written = await connection.fetch("SELECT image_tag FROM image ORDER BY ctid")
            assert [row[0] for row in written] == ["B", "C", "a", "b"], factory


async def test_edges_of_new_and_changed_images(database: Database, aside: asyncpg.Connection) -> None:
    """New images are linked, within the file too; changed ones lose and gain edges."""
    edges = """SELECT a.image_name || ' ' || b.image_name FROM image_dependency
               JOIN image AS a ON a.image_id = dependent_id JOIN image AS b ON b.image_id = dependency_id ORDER BY 1"""
    async with database.connection() as connection:
        await write(
            connection, valid("app", dependencyServiceId="algo/one:1.0,algo/two:1.0"), valid("one"), valid("two")
        )
        assert [row[0] for row in await aside.fetch(edges)] == ["algo/app algo/one", "algo/app algo/two"]
        changed = valid("app", dependencyServiceId="algo/two:1.0,algo/new:1.0")
        assert await write(connection, changed, valid("new", dependencyServiceId="algo/one:1.0")) == (1, 1)
    found = [row[0] for row in await aside.fetch(edges)]
    assert found == ["algo/app algo/new", "algo/app algo/two", "algo/new algo/one"]


@pytest.mark.parametrize("known", [False, True], ids=["new", "changed"])
async def test_a_dependency_that_is_gone(database: Database, aside: asyncpg.Connection, *, known: bool) -> None:
    """A dependency deleted after the check of the file is an error of the link, and nothing is written."""
    async with database.connection() as connection:
        await write(connection, valid("gone"), *([valid("app")] if known else []))
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with connection.transaction():
                await stage(connection, valid("app", dependencyServiceId="algo/gone:1.0"))
                await staging.write(connection, TRUSTED, OnConflict.UPDATE)
                await aside.execute("UPDATE image SET live = false, version = 2 WHERE image_name = 'algo/gone'")
                await staging.link(connection)
    assert await aside.fetchval("SELECT count(*) FROM image WHERE live") == int(known)
    assert await aside.fetchval("SELECT count(*) FROM image_dependency") == 0


async def test_faults_between_records(database: Database) -> None:
    """Repeated names and ids, missing dependencies and existing images are found, each with its record."""
    own = uuid4().hex
    async with database.connection() as connection:
        await write(connection, valid("there"))
        async with connection.transaction():
            given = (
                staging.row(1, valid("a"), own),
                staging.row(2, valid("a"), uuid4().hex),
                staging.row(3, valid("b", dependencyServiceId="algo/none:1.0"), own),
                staging.row(4, valid("there"), uuid4().hex),
            )
            await staging.fill(connection, rows(*given))
            found, total = await staging.faults(connection, OnConflict.FAIL, 10)
    told = {(fault.position, fault.fault.field, fault.fault.code) for fault in found}
    assert total == 4
    assert told == {
        (2, "imageName", Code.IMAGE_EXISTS),
        (3, "imageId", Code.FIELD),
        (3, "dependencyServiceId", Code.DEPENDENCY),
        (4, "imageName", Code.IMAGE_EXISTS),
    }


async def test_an_invalid_record_is_known_by_its_name(database: Database) -> None:
    """A dependency on a record that is invalid elsewhere is no fault; its own dependencies are checked."""
    said = read(minimal("algo/bad", factory="", dependencyServiceId="algo/none:1.0"))
    async with database.connection() as connection, connection.transaction():
        good = staging.row(2, valid("good", dependencyServiceId="algo/bad:1.0"), uuid4().hex)
        await staging.fill(connection, rows(staging.faulty_row(1, None, said), good))
        [found], total = await staging.faults(connection, OnConflict.UPDATE, 10)
    assert (total, found.position, found.fault.code) == (1, 1, Code.DEPENDENCY)
