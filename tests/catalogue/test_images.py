"""The use cases for single images open their own sessions, and batch registers without a key."""

import asyncio

import asyncpg
import pytest

from algoplatform.catalogue.images import Registered
from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import (
    Busy,
    ImageInUse,
    ImageNotFound,
    Refused,
    Repeated,
    VersionConflict,
)
from algoplatform.runtime import Runtime
from algoplatform.storage.images.edges import Drift
from tests.support.counting import counting
from tests.support.images import deletion, minimal
from tests.support.service import settings_for
from tests.support.writes import once


async def test_concurrent_registers_share_statements(database_url: str) -> None:
    """A hundred concurrent registers take at most two statements."""
    async with counting(database_url) as counter, Runtime.open(settings_for(counter.dsn)) as runtime:
        await runtime.images.register(TRUSTED, minimal("algo/warm"))
        counter.reset()
        bodies = [minimal(f"algo/n{number}") for number in range(100)]
        given = await asyncio.gather(*(runtime.images.register(TRUSTED, body) for body in bodies))
        assert {new.version for new in given} == {1}
        assert len({new.image_id for new in given}) == 100
        assert counter.statements <= 2


async def test_register_once(runtime: Runtime) -> None:
    """With a key the image is registered once, and each repeat gets the stored response."""
    new = await runtime.images.register(TRUSTED, minimal(), once())
    assert new == Registered(new.image_id, 1)
    with pytest.raises(Repeated) as repeated:
        await runtime.images.register(TRUSTED, minimal(), once())
    assert repeated.value.answer.body.decode() == str(new)


@pytest.mark.parametrize("key", [None, "k"])
async def test_all_faults_of_a_register(runtime: Runtime, key: str | None) -> None:
    """An invalid register reports what the record shows and what only the registry knows, key or none."""
    await runtime.images.register(TRUSTED, minimal())
    body = minimal(dependencyServiceId="algo/none:1.0", useableFlag="7")
    with pytest.raises(Refused) as refused:
        await runtime.images.register(TRUSTED, body, once(key) if key else None)
    assert {fault.field for fault in refused.value.faults} == {"imageName", "dependencyServiceId", "useableFlag"}


async def test_update_and_delete_once(runtime: Runtime) -> None:
    """Updates and deletes with keys happen once, those without as often as they are sent."""
    image_id, _ = await runtime.images.register(TRUSTED, minimal())
    body = minimal(imageId=image_id, factory="二")
    assert await runtime.images.update(TRUSTED, body, [1], once("update")) == 2
    with pytest.raises(Repeated):
        await runtime.images.update(TRUSTED, body, [1], once("update"))
    assert await runtime.images.update(TRUSTED, body, None) == 3
    await runtime.images.delete(TRUSTED, deletion(image_id), [3], once("delete"))
    with pytest.raises(Repeated):
        await runtime.images.delete(TRUSTED, deletion(image_id), [3], once("delete"))
    with pytest.raises(ImageNotFound):
        await runtime.images.get(image_id)


async def test_refusals(runtime: Runtime) -> None:
    """A stale version and an image in use are refused, and nothing changes."""
    base, _ = await runtime.images.register(TRUSTED, minimal("algo/base"))
    await runtime.images.register(TRUSTED, minimal("algo/app", dependencyServiceId="algo/base:1.0"))
    with pytest.raises(VersionConflict):
        await runtime.images.update(TRUSTED, minimal("algo/base", imageId=base), [2])
    with pytest.raises(ImageInUse):
        await runtime.images.delete(TRUSTED, deletion(base), None)
    assert (await runtime.images.get(base)).version == 1


@pytest.mark.parametrize("key", [None, "k"])
async def test_writes_hold_at_most_half_of_the_pool(database_url: str, key: str | None) -> None:
    """With half of the pool taken, writes raise Busy while reads are served."""
    settings = settings_for(database_url, pool_size=2, pool_timeout=1)
    async with Runtime.open(settings) as runtime:
        image_id, _ = await runtime.images.register(TRUSTED, minimal())
        async with runtime.database.connection(write=True):
            for write in (
                runtime.images.register(TRUSTED, minimal("algo/b"), once("b") if key else None),
                runtime.images.update(TRUSTED, minimal(imageId=image_id), None, once("u") if key else None),
            ):
                with pytest.raises(Busy):
                    await write
            assert (await runtime.images.get(image_id)).version == 1


async def test_drift(runtime: Runtime, aside: asyncpg.Connection) -> None:
    """An edge that is missing is reported."""
    await runtime.images.register(TRUSTED, minimal("algo/base"))
    await runtime.images.register(TRUSTED, minimal("algo/app", dependencyServiceId="algo/base:1.0"))
    found: list[Drift] = []
    await runtime.images.drift(found.append)
    assert found == []
    await aside.execute("DELETE FROM image_dependency")
    await runtime.images.drift(found.append)
    assert found == [Drift("algo/app:1.0", "algo/base:1.0", "missing")]
