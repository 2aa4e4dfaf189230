"""Lint of the registry and of files, on PostgreSQL."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from algoplatform.catalogue import checked_file, parsing
from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import BadRequest, FileRefused
from algoplatform.planning.lint.asked import check_asked
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings, SettingsError
from tests.support.images import minimal

SAMPLE = Path(__file__).parents[3] / "examples" / "image_list.json"
# More text than fits into one batch.
MANY = 1500


class Gone(Exception):
    """The client has disconnected."""


def image(name: str = "h:1/algo/a", tag: str = "1.0", **fields: Any) -> dict[str, Any]:
    """Return an image in which lint finds nothing."""
    clean = {"cpuRequests": 1000, "memRequests": 1024, "gpuRequests": 4096, "tvChannel": 8}
    return minimal(name, tag) | clean | fields


@pytest.fixture
async def runtime(database_url: str) -> AsyncIterator[Runtime]:
    """A runtime on the test's own database."""
    async with Runtime.open(Settings(database_url=SecretStr(database_url))) as opened:
        yield opened


def file_of(images: Any) -> io.BytesIO:
    """Return a file of images, or of a text."""
    return io.BytesIO(images if isinstance(images, bytes) else json.dumps(images, ensure_ascii=False).encode())


async def load(runtime: Runtime, images: Any) -> None:
    """Import images."""
    await runtime.transfer.load(TRUSTED, file_of(images))


async def registry(runtime: Runtime, **asked: Any) -> dict[str, Any]:
    """Lint the registry; return the `res` of the answer."""
    parts: list[bytes] = []

    async def write(data: bytes) -> None:
        parts.append(data)

    await runtime.lint.registry(check_asked(asked), write)
    found: dict[str, Any] = json.loads(b"".join(parts))
    return found


async def over_file(runtime: Runtime, images: Any, **asked: Any) -> dict[str, Any]:
    """Lint a file; return the `res` of the answer."""
    parts: list[bytes] = []

    async def write(data: bytes) -> None:
        parts.append(data)

    await runtime.lint.file(check_asked(asked), file_of(images), write)
    found: dict[str, Any] = json.loads(b"".join(parts))
    return found


def named(res: dict[str, Any]) -> list[tuple[str, str]]:
    """Return rule and image of each finding."""
    return [(finding["rule"], finding["image"]) for finding in res["findings"]]


async def test_empty(runtime: Runtime) -> None:
    """An empty registry and an empty file have no findings."""
    nothing = {"findings": [], "counts": {}, "total": 0}
    assert await registry(runtime) == await over_file(runtime, []) == nothing


async def test_sample(runtime: Runtime) -> None:
    """The sample registry has no errors; linting its file gives the same findings as linting it after the upload."""
    content = SAMPLE.read_bytes()
    before = await over_file(runtime, content)
    await load(runtime, content)
    after = await registry(runtime)
    assert sorted(named(before)) == sorted(named(after))
    assert before["counts"] == after["counts"]
    assert list(after) == ["findings", "counts", "total"]
    assert after["total"] == len(after["findings"]) == sum(after["counts"].values()) > 20
    assert not [finding for finding in after["findings"] if finding["severity"] == "error"]
    assert (await registry(runtime, severity="error"))["total"] == 0


async def test_many(runtime: Runtime) -> None:
    """Over several batches each finding occurs once, ordered by name and tag; pages split them."""
    await load(runtime, [image(f"h:1/n/{number:04d}", tvChannel=0, algoDesc="长" * 500) for number in range(MANY)])
    expected = [("channels-unknown", f"h:1/n/{number:04d}:1.0") for number in range(MANY)]
    assert named(await registry(runtime)) == expected
    page = await registry(runtime, page=15, pageSize=100)
    assert (named(page), page["total"]) == (expected[1400:], MANY)
    assert page["counts"] == {"channels-unknown": MANY}


async def test_conditions(runtime: Runtime) -> None:
    """Conditions select findings by image, while rules across records still consider all images."""
    port = {"imagePorts": "p:80:30001"}
    await load(
        runtime,
        [
            image("h:1/east/a", factory="甲", **port),
            image("h:1/east/b", factory="乙", tvChannel=0, **port),
            image("h:1/west/c", factory="丙", eventType=7, **port),
            image("h:1/west/d", factory="丙", cpuRequests=1),
        ],
    )
    [clash] = (await registry(runtime, factory="甲"))["findings"]
    assert clash["images"] == ["h:1/east/a:1.0", "h:1/east/b:1.0", "h:1/west/c:1.0"]
    assert (clash["rule"], clash["severity"], clash["value"]) == ("node-port-clash", "warning", 30001)
    assert named(await registry(runtime, searchCondition="EAST/B")) == [
        *(("channels-unknown", "h:1/east/b:1.0"), ("node-port-clash", "h:1/east/a:1.0"))
    ]
    assert named(await registry(runtime, namespace="west", eventType=7)) == [("node-port-clash", "h:1/east/a:1.0")]
    assert named(await registry(runtime, namespace="west", rule="unit-suspect")) == [("unit-suspect", "h:1/west/d:1.0")]
    assert (await registry(runtime, namespace="north"))["total"] == 0


async def test_deleted_images_are_not_judged(runtime: Runtime) -> None:
    """Only live images are checked."""
    await load(runtime, [image(tvChannel=0, imagePorts="p:80:30001"), image("h:1/algo/b", imagePorts="p:80:30001")])
    async with runtime.database.connection() as connection:
        await connection.execute("UPDATE image SET live = false, version = version + 1 WHERE image_name = 'h:1/algo/a'")
    assert (await registry(runtime))["total"] == 0


async def test_file_with_registered_dependencies(runtime: Runtime) -> None:
    """Transitive dependencies from the registry are known and can clash, but have no findings of their own."""
    await load(
        runtime,
        [
            image("h:1/low/a", imagePorts="p:80:30001", tvChannel=0),
            image("h:1/low/b", dependencyServiceId="h:1/low/a:1.0"),
            image("h:1/low/other", imagePorts="p:80:30001"),
        ],
    )
    top = image("h:1/top/c", dependencyServiceId="h:1/low/b:1.0,h:1/low/gone:2.0", imagePorts="p:80:30001")
    found = await over_file(runtime, [top])
    assert named(found) == [("node-port-clash", "h:1/top/c:1.0"), ("dependency-gone", "h:1/top/c:1.0")]
    assert found["findings"][0]["severity"] == "error"
    assert found["findings"][0]["images"] == ["h:1/top/c:1.0", "h:1/low/a:1.0"]


async def test_file_replaces_what_is_registered(runtime: Runtime) -> None:
    """An image in the file replaces its registered version."""
    await load(
        runtime, [image("h:1/n/a", imagePorts="p:80:30001"), image("h:1/n/b", dependencyServiceId="h:1/n/a:1.0")]
    )
    changed = [image("h:1/n/a"), image("h:1/n/c", dependencyServiceId="h:1/n/b:1.0", imagePorts="p:80:30001")]
    assert (await over_file(runtime, changed))["total"] == 0


async def test_faults_of_a_file(runtime: Runtime) -> None:
    """Faults other than missing dependencies refuse the file, and are all reported at once."""
    images = [
        image("h:1/n/a", dependencyServiceId="h:1/n/none:1.0"),
        image("h:1/n/a", algoType="7"),
        image("h:1/n/a"),
        image("h:1/n/b", imageId="a" * 32, colour="red"),
        image("h:1/n/c", imageId="b" * 32),
        image("h:1/n/d", imageId="b" * 32),
    ]
    with pytest.raises(FileRefused) as caught:
        await over_file(runtime, images)
    assert [(fault.position, fault.fault.field) for fault in caught.value.record_faults] == [
        *((2, "algoType"), (3, "imageName"), (4, "colour"), (6, "imageId"))
    ]
    with pytest.raises(FileRefused, match="与键"):
        await over_file(runtime, {"a" * 32: image(imageId="b" * 32)})
    with pytest.raises(BadRequest):
        await over_file(runtime, b"{")


async def test_very_many_faults(runtime: Runtime) -> None:
    """Faults of a file are counted up to a limit, then the total is a lower bound."""
    with pytest.raises(FileRefused) as caught:
        await over_file(runtime, [{"imageName": "x"}] * 4000)
    assert len(caught.value.record_faults) == 1000
    assert caught.value.at_least
    assert 10_000 < caught.value.total < 10_100


async def test_sarif(runtime: Runtime) -> None:
    """Findings of the registry and of a file can be returned as SARIF."""
    images = [image(tvChannel=0)]
    await load(runtime, images)
    parts: list[bytes] = []

    async def write(data: bytes) -> None:
        parts.append(data)

    await runtime.lint.registry(check_asked({}), write, as_sarif=True)
    await runtime.lint.file(check_asked({}), file_of(images), write, as_sarif=True)
    whole = b"".join(parts)
    first, second = whole[: len(whole) // 2], whole[len(whole) // 2 :]
    assert first == second
    [result] = json.loads(first)["runs"][0]["results"]
    assert result["ruleId"] == "channels-unknown"


async def test_a_failing_reader_ends_it(runtime: Runtime) -> None:
    """If the client disconnects, the run ends and releases its connection."""
    await load(runtime, [image(f"h:1/n/{number:04d}", tvChannel=0, algoDesc="长" * 500) for number in range(MANY)])

    async def write(data: bytes) -> None:
        raise Gone

    for _ in range(12):
        with pytest.raises(Gone):
            await runtime.lint.registry(check_asked({}), write)
    assert (await registry(runtime))["total"] == MANY


async def test_a_client_that_has_gone_ends_a_run_that_finds_nothing(runtime: Runtime) -> None:
    """A run without findings writes empty parts, as only a write shows that the client has disconnected."""
    await load(runtime, [image(f"h:1/n/{number:04d}", algoDesc="长" * 500) for number in range(MANY)])

    async def write(data: bytes) -> None:
        if not data:
            raise Gone

    for as_sarif in (False, True):
        with pytest.raises(Gone):
            await runtime.lint.registry(check_asked({"rule": "dependency-gone"}), write, as_sarif=as_sarif)


async def test_checking_a_file_ends_with_the_client(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's disconnect is noticed while its file is still being checked."""
    monkeypatch.setattr(parsing, "_TURN_SECONDS", 0)
    content = file_of([image(f"h:1/n/{number:04d}", algoDesc="长" * 500) for number in range(MANY)])

    async def write(data: bytes) -> None:
        raise Gone(data)

    for as_sarif in (False, True):
        content.seek(0)
        with pytest.raises(Gone, match="b''"):
            await runtime.lint.file(check_asked({}), content, write, as_sarif=as_sarif)
        assert content.tell() < len(content.getvalue()) // 2


async def test_a_file_that_names_very_many_images(runtime: Runtime) -> None:
    """Names are looked up some thousand at a time; a registered one in the last batch is found, too."""
    await load(runtime, [image("h:1/n/base"), image("h:1/n/mid", dependencyServiceId="h:1/n/base:1.0")])
    needs = [",".join(f"n{part}x{number}:1" for number in range(300)) for part in range(20)]
    images = [image(f"h:1/n/{part:02d}", dependencyServiceId=text) for part, text in enumerate(needs)]
    images.append(image("h:1/n/last", dependencyServiceId="h:1/n/mid:1.0"))
    found = await over_file(runtime, images, rule="dependency-gone", page=1, pageSize=1)
    assert (found["total"], found["counts"]) == (6000, {"dependency-gone": 6000})


async def test_a_file_that_names_too_many_images(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a million images and dependencies the file is refused without linting it."""
    monkeypatch.setattr(checked_file, "MOST_NAMED", 5)
    images = [image("h:1/n/a", dependencyServiceId="x:1,y:1"), image("h:1/n/b", dependencyServiceId="z:1")]
    assert (await over_file(runtime, images))["counts"]["dependency-gone"] == 3
    with pytest.raises(BadRequest, match="超过5个"):
        await over_file(runtime, [*images, image("h:1/n/c")])


async def test_settings(database_url: str) -> None:
    """Severities, exemptions and cards come from the settings; an invalid setting prevents the start."""
    exemption = json.dumps([{"rule": "tag-latest", "image": "h:1/n/*", "reason": "试用"}])
    settings = Settings(
        database_url=SecretStr(database_url),
        lint_severity='{"channels-unknown": "error"}',
        lint_exemptions=exemption,
        gpu_cards="15109",
    )
    async with Runtime.open(settings) as runtime:
        await load(runtime, [image("h:1/n/a", "latest", tvChannel=0), image("h:1/m/a", "latest", gpuRequests=15110)])
        found = await registry(runtime)
    assert named(found) == [
        *(("tag-latest", "h:1/m/a:latest"), ("gpu-exceeds-card", "h:1/m/a:latest")),
        ("channels-unknown", "h:1/n/a:latest"),
    ]
    assert found["findings"][2]["severity"] == "error"
    with pytest.raises(SettingsError, match=r'^ALGOPLATFORM_LINT_SEVERITY: there is no rule "x"$'):
        async with Runtime.open(Settings(database_url=SecretStr(database_url), lint_severity='{"x": "error"}')):
            pass
