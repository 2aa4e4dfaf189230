"""Reading the output of kubectl: chunks of any size, bounded memory."""

import json
import tracemalloc
from collections.abc import Iterator

import pytest

from algoplatform.domain.errors import BadRequest
from algoplatform.manifests.drift.reading import MAX_OBJECT, read_objects
from tests.support.cluster import live, printed
from tests.support.rendering import rendered


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_chunks(size: int) -> None:
    """Chunks may end at any byte."""
    objects = live(rendered(algoDesc="抽帧", imagePorts="http:80").objects)
    text = printed(objects, foreign=False)
    assert list(read_objects(iter([text[at : at + size] for at in range(0, len(text), size)]))) == objects


def test_memory() -> None:
    """Reading a List of 10,000 objects takes less than 1 MiB: the memory of one chunk and one object."""
    [item] = [item for item in live(rendered().objects) if item["kind"] == "Deployment"]
    text = json.dumps(item, indent=4).encode()

    def chunks() -> Iterator[bytes]:
        yield b'{"kind":"List","items":[' + text
        for _ in range(9_999):
            yield b"," + text
        yield b"]}"

    tracemalloc.start()
    try:
        assert sum(1 for _ in read_objects(chunks())) == 10_000
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


def test_one_object_is_bounded() -> None:
    """A single object above 3 MiB is refused, also if it is one item of a List."""
    long = b'{"kind":"ConfigMap","metadata":{"name":"a"},"data":"' + b"x" * (MAX_OBJECT + 65536) + b'"}'
    pieces = [long[at : at + 65536] for at in range(0, len(long), 65536)]
    with pytest.raises(BadRequest, match="单个对象超过上限"):
        list(read_objects(iter([b'{"items":[', *pieces])))
