"""Drift of a cluster: verified digests, many objects in bounded memory."""

import json
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from tempfile import TemporaryFile
from typing import Any

import pytest

from algoplatform.catalogue import parsing
from algoplatform.catalogue.cluster import inventory
from algoplatform.catalogue.cluster.drift import Drift
from algoplatform.catalogue.cluster.site import Site
from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import BadRequest
from algoplatform.manifests.names import INSTANCE
from algoplatform.manifests.options import Options
from algoplatform.runtime import Runtime
from tests.support.cluster import DIGEST, live, pod, printed
from tests.support.images import minimal

MIB = 1024 * 1024
FIELDS: dict[str, Any] = {"imagePorts": "http:8080", "env": "A:1,B:2", "gpuRequests": 4000}


async def deployed(runtime: Runtime, name: str) -> list[dict[str, Any]]:
    """Register an image, and return its objects as a cluster would."""
    await runtime.images.register(TRUSTED, minimal(name) | FIELDS, None)
    return live((await runtime.manifests.render([f"{name}:1.0"], {})).objects)


async def compared(drift: Drift, content: bytes) -> dict[str, Any]:
    """Compare a cluster."""
    found = BytesIO()

    async def write(data: bytes) -> None:
        found.write(data)

    await drift.compare(BytesIO(content), Options(), write)
    answer: dict[str, Any] = json.loads(found.getvalue())
    return answer


async def test_known_digests(runtime: Runtime) -> None:
    """An image with a verified digest is image-moved if its pods run another digest."""
    asked: list[list[str]] = []

    async def digests(references: Sequence[str]) -> Mapping[str, str]:
        asked.append(list(references))
        return {"algo/a:1.0": DIGEST, "algo/b:1.0": f"sha256:{'0' * 64}"}

    objects = [
        *await deployed(runtime, "algo/a"),
        *await deployed(runtime, "algo/b"),
        *await deployed(runtime, "algo/c"),
    ]
    pods = [pod(item) for item in objects if item["kind"] == "Deployment"]
    found = await compared(Drift(runtime.database, Site(), digests), printed([*objects, *pods]))
    states = {entry["reference"]: entry["state"] for entry in found["images"]}
    assert states == {"algo/a:1.0": "in-sync", "algo/b:1.0": "image-moved", "algo/c:1.0": "in-sync"}
    assert asked == [list(states)]


@contextmanager
def peak() -> Iterator[list[int]]:
    """Measure the peak of Python's memory within the block, in bytes."""
    measured: list[int] = []
    tracemalloc.start()
    try:
        yield measured
        measured.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


async def test_ten_thousand_objects(runtime: Runtime) -> None:
    """Comparing 10,000 objects, 1,000 of them ours, takes less than 6 MiB: an index, and one batch of records."""
    objects = await deployed(runtime, "algo/a")
    foreign = json.dumps(objects[-1]).replace("app.kubernetes.io/managed-by", "team").replace("image-id", "id").encode()
    ours = [json.dumps(item).replace("algo-a-1-0", "algo-a-{at}") for item in objects]
    states: Counter[bytes] = Counter()

    async def write(data: bytes) -> None:
        states.update(re.findall(rb'"state":"([a-z-]+)","namespace"', data))

    with TemporaryFile() as file:
        file.write(b'{"kind":"List","items":[' + foreign)
        for at in range(500):
            for text in [foreign] * 18 + [item.replace("{at}", str(at)).encode() for item in ours]:
                file.write(b"," + text)
        file.write(b"]}")
        size = file.tell()
        file.seek(0)
        with peak() as measured:
            await runtime.drift.compare(file, Options(), write)
    # Each workload is a copy with another name.
    assert states == {b"modified": 500}
    assert measured[0] < 6 * MIB < size, (measured, size)


_LONG = "\N{GRINNING FACE}" + "n" * (MIB // 4)
_LABELS = {"app.kubernetes.io/managed-by": "algoplatform", INSTANCE: "x"}


def _named(kind: str, labels: dict[str, str] = _LABELS, **kept: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "x", "labels": labels, **kept}}


# Values that the index would keep, longer than Kubernetes allows; one wide character makes Python use 4 bytes for each.
NAMES: list[Callable[[str], dict[str, Any]]] = [
    lambda text: _named("Service", name=text),
    lambda text: _named("Pod", namespace=text),
    lambda text: _named("Pod", _LABELS | {INSTANCE: text}),
    lambda text: _named("Deployment", annotations={"algoplatform/image-id": "0" * 32, "algoplatform/reference": text}),
]


@pytest.mark.parametrize("made", NAMES)
async def test_long_names(runtime: Runtime, made: Callable[[str], dict[str, Any]]) -> None:
    """The index keeps no name that exceeds the limits of Kubernetes."""
    items = [made(f"{number}{_LONG}") for number in range(64)]
    content = json.dumps({"items": items}, ensure_ascii=False).encode()
    del items
    with peak() as measured:
        await compared(runtime.drift, content)
    # A few copies of one object, at four times its bytes.
    assert measured[0] < 30 * MIB, measured


async def test_reading_ends_with_the_client(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's disconnect is noticed while its objects are still being read."""
    monkeypatch.setattr(parsing, "_TURN_SECONDS", 0)
    content = BytesIO(printed(await deployed(runtime, "algo/a") * 1000))

    async def write(data: bytes) -> None:
        raise ConnectionResetError(data)

    with pytest.raises(ConnectionResetError, match="b''"):
        await runtime.drift.compare(content, Options(), write)
    assert content.tell() < len(content.getvalue()) // 2


async def test_too_many_objects(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """More objects than the index may hold are refused."""
    monkeypatch.setattr(inventory, "MOST_OBJECTS", 3)
    objects = await deployed(runtime, "algo/a")
    with pytest.raises(BadRequest, match="要比较的对象超过3个"):
        await compared(runtime.drift, printed(objects * 2))
