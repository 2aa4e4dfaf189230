"""The use cases for the history of an image."""

from typing import Any

import pytest

from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import AlgoplatformError, ImageNotFound, Refused, Repeated, VersionConflict
from algoplatform.runtime import Runtime
from tests.support.images import deletion, minimal
from tests.support.writes import once


async def changed(runtime: Runtime) -> str:
    """Register an image, update it, delete it, and return its id."""
    image_id, _ = await runtime.images.register(TRUSTED, minimal())
    await runtime.images.update(TRUSTED, minimal(imageId=image_id, factory="二"), None)
    await runtime.images.delete(TRUSTED, deletion(image_id), None)
    return image_id


async def test_history(runtime: Runtime) -> None:
    """Revisions come latest first and in pages, also those of a deleted image."""
    image_id = await changed(runtime)
    revisions, total = await runtime.revisions.history(image_id, 1, 2)
    assert total == 3
    assert [(revision.version, revision.operation) for revision in revisions] == [(3, "delete"), (2, "update")]
    [first], _ = await runtime.revisions.history(image_id, 2, 2)
    assert (first.version, first.before) == (1, None)


async def test_restore_once(runtime: Runtime) -> None:
    """A deleted image is restored; with a key only once."""
    image_id = await changed(runtime)
    assert await runtime.revisions.restore(TRUSTED, image_id, {}, [3], once()) == 4
    with pytest.raises(Repeated):
        await runtime.revisions.restore(TRUSTED, image_id, {}, [3], once())
    assert await runtime.revisions.restore(TRUSTED, image_id, {"version": "1"}, None) == 5
    assert "易华录".encode() in (await runtime.images.get(image_id)).record


@pytest.mark.parametrize(
    ("data", "versions", "error"),
    [({}, [1], VersionConflict), ({"version": 9}, None, Refused), ({"version": "x"}, None, Refused)],
)
async def test_refusals(
    runtime: Runtime, data: dict[str, Any], versions: list[int] | None, error: type[AlgoplatformError]
) -> None:
    """A stale or unknown version and a malformed body restore nothing."""
    image_id = await changed(runtime)
    with pytest.raises(error):
        await runtime.revisions.restore(TRUSTED, image_id, data, versions)
    with pytest.raises(ImageNotFound):
        await runtime.images.get(image_id)


async def test_no_such_image(runtime: Runtime) -> None:
    """An id that was never registered has no history and cannot be restored."""
    with pytest.raises(ImageNotFound):
        await runtime.revisions.history("a" * 32, 1, 10)
    with pytest.raises(ImageNotFound):
        await runtime.revisions.restore(TRUSTED, "a" * 32, {}, None)
