"""Imports by direct COPY and through the staging table have the same results, wherever a fault occurs."""

import asyncio
import io
import json
import random
from typing import Any

import pytest

from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import BadRequest, FileRefused, Repeated
from algoplatform.domain.uploads import Counts, OnConflict, UploadOptions
from algoplatform.runtime import Runtime
from algoplatform.storage.upload.staging import UPLOAD_LOCK
from tests.support.images import minimal
from tests.support.writes import once

# More than one batch, so that a fault at the end appears after writing has begun.
MANY = 700


def many(**last: Any) -> list[dict[str, Any]]:
    """Build MANY new images, each depending on the previous one; `last` overrides fields of the last."""
    images = [minimal(f"algo/n{number}") for number in range(MANY)]
    for number, image in enumerate(images[1:]):
        image["dependencyServiceId"] = f"algo/n{number}:1.0"
    images[-1] |= last
    return images


async def load(runtime: Runtime, images: list[dict[str, Any]], **options: Any) -> Counts:
    """Import images."""
    file = io.BytesIO(json.dumps(images, ensure_ascii=False).encode())
    return await runtime.transfer.load(TRUSTED, file, UploadOptions(**options))


async def ask(runtime: Runtime, query: str) -> Any:
    """Ask the database for one value."""
    async with runtime.database.connection() as connection:
        return await connection.fetchval(query)


async def test_new_images(runtime: Runtime) -> None:
    """New images are written with their dependencies; importing the file again changes nothing."""
    assert await load(runtime, many()) == Counts(MANY, 0, 0, 0)
    assert await ask(runtime, "SELECT count(*) FROM image_dependency") == MANY - 1
    assert await load(runtime, many()) == Counts(0, 0, MANY, 0)
    assert await ask(runtime, "SELECT count(*) FROM image_revision") == 0


NOTE_SETTINGS = """
CREATE TABLE noted (pending text, memory text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO noted VALUES (current_setting('gin_pending_list_limit'), current_setting('work_mem'));
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT ON image FOR EACH STATEMENT EXECUTE FUNCTION note();
"""


async def test_settings_for_larger_batches(runtime: Runtime) -> None:
    """Uploads write with settings that make the text index cheaper, into an empty registry as into any other."""
    async with runtime.database.connection() as connection:
        await connection.execute(NOTE_SETTINGS)
    for name in ("algo/empty", "algo/filled"):
        assert await load(runtime, [minimal(name)]) == Counts(1, 0, 0, 0)
    await runtime.images.register(TRUSTED, minimal("algo/single"))
    noted = await ask(runtime, "SELECT array_agg(pending || ' ' || memory ORDER BY ctid) FROM noted")
    assert noted == ["4MB 32MB", "4MB 32MB", "1MB 4MB"]


async def test_empty_file(runtime: Runtime) -> None:
    """A file without records changes nothing."""
    assert await load(runtime, []) == Counts(0, 0, 0, 0)


async def test_dry_run(runtime: Runtime) -> None:
    """A dry run returns the counts and writes nothing."""
    assert await load(runtime, many(), dry_run=True) == Counts(MANY, 0, 0, 0)
    assert await ask(runtime, "SELECT count(*) FROM image") == 0


@pytest.mark.parametrize(
    ("on_conflict", "counts"),
    [(OnConflict.UPDATE, Counts(MANY - 1, 1, 0, 0)), (OnConflict.SKIP, Counts(MANY - 1, 0, 0, 1))],
)
async def test_a_known_image_among_new_ones(runtime: Runtime, on_conflict: OnConflict, counts: Counts) -> None:
    """An existing image is updated or skipped even if the import has already written others."""
    await load(runtime, [minimal(f"algo/n{MANY - 1}", factory="旧")])
    assert await load(runtime, many(), on_conflict=on_conflict) == counts
    assert await ask(runtime, "SELECT count(*) FROM image WHERE live") == MANY


async def test_a_taken_id_among_new_ones(runtime: Runtime) -> None:
    """A record whose id belongs to another image gets a new id."""
    taken = "a" * 32
    await load(runtime, [minimal("algo/other", imageId=taken)])
    assert await load(runtime, many(imageId=taken)) == Counts(MANY, 0, 0, 0)
    assert await ask(runtime, f"SELECT image_name FROM image WHERE image_id = '{taken}'") == "algo/other"


@pytest.mark.parametrize(
    ("last", "fault"),
    [
        ({"factory": ""}, f"algo/n{MANY - 1}1.0:factory不能为空"),
        ({"dependencyServiceId": "algo/none:1.0"}, "“algo/none:1.0”未注册"),
        ({"imageName": "algo/n5"}, "algo/n51.0:文件中重复：与第6条记录的镜像名和标签相同"),
    ],
)
async def test_a_fault_at_the_end(runtime: Runtime, last: dict[str, Any], fault: str) -> None:
    """A fault in the last record is reported, and nothing is written."""
    with pytest.raises(FileRefused) as refused:
        await load(runtime, many(**last))
    assert refused.value.total == 1
    assert fault in refused.value.message
    assert await ask(runtime, "SELECT count(*) FROM image") == 0


async def test_a_file_that_breaks_off(runtime: Runtime) -> None:
    """A truncated file is rejected as a whole."""
    content = json.dumps(many()).encode()[:-100]
    with pytest.raises(BadRequest):
        await runtime.transfer.load(TRUSTED, io.BytesIO(content))
    assert await ask(runtime, "SELECT count(*) FROM image") == 0


async def test_beside_another_upload(runtime: Runtime) -> None:
    """An upload waits while another one writes, and then succeeds."""
    async with runtime.database.connection() as other, other.transaction():
        await other.execute(f"SELECT pg_advisory_xact_lock({UPLOAD_LOCK})")
        waiting = asyncio.create_task(load(runtime, many()))
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done
    assert await waiting == Counts(MANY, 0, 0, 0)


async def test_progress_ends_at_the_size_of_the_file(runtime: Runtime) -> None:
    """Progress adds up to the size of the file, even if the file is read twice."""
    content = json.dumps(many(imageName="algo/n5")).encode()
    told: list[int] = []
    with pytest.raises(FileRefused):
        await runtime.transfer.load(TRUSTED, io.BytesIO(content), progress=told.append)
    assert min(told) < 0
    assert sum(told) == len(content)


async def load_once(runtime: Runtime, images: list[dict[str, Any]]) -> Counts:
    """Import images with an Idempotency-Key, which is the same in every call."""
    return await runtime.transfer.load(TRUSTED, io.BytesIO(json.dumps(images).encode()), once=once())


@pytest.mark.parametrize("known", [[], [minimal(f"algo/n{MANY - 1}", factory="旧")]])
async def test_once(runtime: Runtime, known: list[dict[str, Any]]) -> None:
    """An import with a key stores its response with the images, in an empty registry and in any other."""
    await load(runtime, known)
    counts = await load_once(runtime, many())
    assert counts == Counts(MANY - len(known), len(known), 0, 0)
    with pytest.raises(Repeated) as repeated:
        await load_once(runtime, many())
    assert repeated.value.answer.body.decode() == str(counts)
    assert await ask(runtime, "SELECT count(*) FROM image WHERE live") == MANY


async def test_refused_once(runtime: Runtime) -> None:
    """A refused import with a key leaves nothing but its response, also where writing had begun."""
    with pytest.raises(FileRefused) as refused:
        await load_once(runtime, many(imageName="algo/n5"))
    with pytest.raises(Repeated) as repeated:
        await load_once(runtime, many(imageName="algo/n5"))
    assert repeated.value.answer.body.decode() == refused.value.message
    assert await ask(runtime, "SELECT count(*) FROM image") == 0


async def size(runtime: Runtime) -> int:
    """Return the size in bytes of the image tables with their indexes."""
    return int(
        await ask(runtime, "SELECT pg_total_relation_size('image') + pg_total_relation_size('image_dependency')")
    )


@pytest.mark.parametrize("on_conflict", [OnConflict.UPDATE, OnConflict.SKIP])
async def test_dry_run_counts_what_a_run_does(runtime: Runtime, on_conflict: OnConflict) -> None:
    """A dry run returns the counts of the real run and does not grow the tables."""
    await load(runtime, [minimal("algo/n1", factory="旧"), minimal("algo/n2"), minimal("algo/other")])
    images = [minimal("algo/n1"), minimal("algo/n2"), minimal("algo/n3", dependencyServiceId="algo/other:1.0")]
    before = await size(runtime)
    dry = await load(runtime, images, on_conflict=on_conflict, dry_run=True)
    assert await size(runtime) == before
    assert await load(runtime, images, on_conflict=on_conflict) == dry
    assert dry == (Counts(1, 1, 1, 0) if on_conflict is OnConflict.UPDATE else Counts(1, 0, 0, 2))


@pytest.mark.parametrize(("last", "dry_run"), [({}, True), ({"factory": ""}, True), ({"factory": ""}, False)])
async def test_what_is_not_written_leaves_nothing(runtime: Runtime, last: dict[str, Any], *, dry_run: bool) -> None:
    """Neither a dry run nor a file with a fault at its end grows the tables and their large text indexes."""
    await load(runtime, [minimal("algo/first")])
    chance = random.Random(1)
    texts = ["".join(chr(chance.randint(0x4E00, 0x9FA5)) for _ in range(1000)) for _ in range(MANY)]
    images = [image | {"algoDesc": text} for image, text in zip(many(), texts, strict=True)]
    images[-1] |= last
    before = await size(runtime)
    try:
        counts = await load(runtime, images, dry_run=dry_run)
    except FileRefused:
        assert last
    else:
        assert counts == Counts(MANY, 0, 0, 0)
    assert await size(runtime) == before


async def test_dry_run_tells_every_fault(runtime: Runtime) -> None:
    """A dry run reports the same faults as a real run: existing images, missing dependencies, duplicates."""
    await load(runtime, [minimal("algo/a")])
    images = [minimal("algo/a"), minimal("algo/b", dependencyServiceId="algo/none:1.0"), minimal("algo/b")]
    told = []
    for dry_run in (True, False):
        with pytest.raises(FileRefused) as refused:
            await load(runtime, images, on_conflict=OnConflict.FAIL, dry_run=dry_run)
        told.append(refused.value.message)
    assert told[0] == told[1]
    assert refused.value.total == 3
