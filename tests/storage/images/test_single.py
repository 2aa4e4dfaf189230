"""Statements on one live image: what they write, and the reasons for writing nothing."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson

from algoplatform.domain.access import TRUSTED
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.check import Rules, check_registration, check_update
from algoplatform.domain.record.model import Image
from algoplatform.storage.images import single
from algoplatform.storage.images.register import Registration, insert_alone
from algoplatform.storage.images.single import Written
from algoplatform.storage.postgres.pool import Connection, Database
from tests.support.images import minimal

CALLER = replace(TRUSTED, subject="someone", request_id="request")


async def registered(connection: Connection, name: str, **fields: Any) -> str:
    """Register an image and return its id."""
    image = check_registration(minimal(f"algo/{name}", **fields), Rules()).image
    assert image is not None
    image_id = uuid4()
    assert (await insert_alone(connection, Registration(CALLER, image, image_id))).version == 1
    return image_id.hex


def update_of(image_id: str, name: str, **fields: Any) -> Image:
    """Return the update of an image."""
    image = check_update(minimal(f"algo/{name}", **fields) | {"imageId": image_id}, Rules()).image
    assert image is not None
    return image


async def test_an_update_writes_what_it_sends(database: Database, aside: asyncpg.Connection) -> None:
    """The fields that are sent change, in the columns as in the record; all others stay."""
    async with database.connection() as connection:
        given = await registered(connection, "a", eventType=7, incidentId="X", useableFlag="1", algoDesc="旧描述")
        image = update_of(given, "a", factory="新厂", incidentId="Y")
        sent = frozenset({"factory", "incidentId", "eventType"})
        written = await single.update(connection, CALLER, image, sent, [1], ())
        assert written is not None
        assert (written.version, written.stale, list(written.missing)) == (2, False, [])
        stored = await single.get(connection, given)
    assert stored is not None
    record = orjson.loads(stored.record)
    assert (record["factory"], record["incidentId"], record["eventType"], record["useableFlag"]) == (
        "新厂",
        "Y",
        None,
        "1",
    )
    row = await aside.fetchrow("SELECT * FROM image WHERE image_id = $1", UUID(given))
    assert row is not None
    assert (row["factory"], row["incident_id"], row["event_type"], row["useable_flag"]) == ("新厂", "Y", None, "1")
    assert row["search"].endswith("旧描述")
    assert (row["operation"], row["actor"], row["request_id"]) == ("update", "someone", "request")


async def test_why_an_update_did_not_write(database: Database) -> None:
    """Fails for a stale version, a missing dependency, an empty required field, another name, an unknown image."""
    async with database.connection() as connection:
        given = await registered(connection, "a")
        image = update_of(given, "a", dependencyServiceId="algo/none:1.0")

        async def tried(
            image: Image, versions: list[int] | None = None, needed: tuple[str, ...] = ()
        ) -> Written | None:
            sent = frozenset({"factory", "dependencyServiceId"})
            return await single.update(connection, CALLER, image, sent, versions, needed)

        plain = update_of(given, "a")
        stale, missing, empty = await tried(plain, [2]), await tried(image), await tried(plain, None, ("frameNumber",))
        assert stale and missing and empty
        assert (stale.version, stale.stale) == (None, True)
        assert (missing.version, missing.missing) == (None, [1])
        assert (empty.version, empty.empty) == (None, ["frameNumber"])
        renamed = await tried(update_of(given, "b"))
        assert renamed and (renamed.version, renamed.name_and_tag) == (None, ("algo/a", "1.0"))
        assert await tried(update_of(uuid4().hex, "a")) is None
        compared = await single.compare(connection, given, ("frameNumber",))
        assert compared and (compared.name_and_tag, compared.empty) == (("algo/a", "1.0"), ["frameNumber"])


async def test_delete(database: Database) -> None:
    """An image with dependents stays; others are deleted once, within the caller's namespaces and at the version."""
    async with database.connection() as connection:
        base = await registered(connection, "base")
        app = await registered(connection, "app", dependencyServiceId="algo/base:1.0")
        kept = await single.delete(connection, CALLER, base, None, None)
        assert kept and (kept.done, kept.dependents, kept.total) == (False, ["algo/app:1.0"], 1)
        other = await single.delete(connection, CALLER, app, ["other"], None)
        assert other and (other.done, other.namespace) == (False, "algo")
        stale = await single.delete(connection, CALLER, app, None, [2])
        assert stale and (stale.done, stale.stale) == (False, True)
        assert await single.count_live(connection) == 2
        for image_id in (app, base):
            gone = await single.delete(connection, CALLER, image_id, ["algo"], [1])
            assert gone and gone.done
        assert await single.delete(connection, CALLER, base, None, None) is None
        assert await single.get(connection, base) is None
        assert await single.count_live(connection) == 0


async def test_references_that_are_registered(database: Database) -> None:
    """Only live images are found."""
    async with database.connection() as connection:
        await registered(connection, "a")
        there, not_there = ImageReference.parse("algo/a:1.0"), ImageReference.parse("algo/a:2.0")
        assert await single.find_references(connection, [not_there, there]) == {there}
