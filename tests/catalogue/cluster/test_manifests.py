"""Rendering from the registry: reading images, the site's defaults, warnings of lint."""

import json
from pathlib import Path
from typing import Any

import pytest

from algoplatform.catalogue.cluster import graph
from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import ImageNotFound, Refused
from algoplatform.manifests.rendering import Rendered
from algoplatform.runtime import Runtime
from algoplatform.settings import SettingsError
from tests.support.images import document_examples, minimal
from tests.support.service import settings_for

CLEAN = {"cpuRequests": 1000, "memRequests": 1024, "tvChannel": 8}


async def register(runtime: Runtime, name: str, tag: str = "1.0", **fields: Any) -> str:
    """Register an image and return its id."""
    return (await runtime.images.register(TRUSTED, minimal(name, tag) | CLEAN | fields, None)).image_id


def kinds(rendered: Rendered) -> list[tuple[str, str]]:
    """Return kind and name of each object."""
    return [(item["kind"], item["metadata"]["name"]) for item in rendered.objects]


async def test_by_id_and_by_reference(runtime: Runtime) -> None:
    """Naming an image twice, by id and by reference, renders it once."""
    image_id = await register(runtime, "algo/a")
    rendered = await runtime.manifests.render([image_id, "algo/a:1.0"], {})
    assert kinds(rendered) == [("Deployment", "algo-a-1-0")]
    assert [(found.rule, found.severity, found.image) for found in rendered.warnings] == [
        ("no-registry", "warning", "algo/a:1.0")
    ]


async def test_options_that_give_what_a_record_lacks(runtime: Runtime) -> None:
    """With the options `registry`, `defaultCpu` and `defaultMemory`, warnings about their absence are dropped."""
    await register(runtime, "algo/a", cpuRequests=None, memRequests=0)

    async def warned(**options: str) -> list[str]:
        return [found.rule for found in (await runtime.manifests.render(["algo/a:1.0"], options)).warnings]

    assert await warned() == ["no-registry", "no-requests", "no-requests"]
    assert await warned(registry="h.local", defaultCpu="500") == ["no-requests"]
    assert await warned(registry="h.local", defaultCpu="500", defaultMemory="1024") == []


async def test_files_that_are_not_mounted(runtime: Runtime) -> None:
    """With config=omit no file is mounted for config, so nothing collides with it."""
    await register(runtime, "h.local/algo/a", config="/a", hostPath="/x:/a")
    found = await runtime.manifests.render(["h.local/algo/a:1.0"], {"config": "omit"})
    assert found.warnings == []
    with pytest.raises(Refused, match="都挂载到"):
        await runtime.manifests.render(["h.local/algo/a:1.0"], {})


async def test_unknown_images_are_named_at_once(runtime: Runtime) -> None:
    """The error names all images that are not registered."""
    await register(runtime, "algo/a")
    with pytest.raises(ImageNotFound, match=f"algo/b:1.0，{'0' * 32}$"):
        await runtime.manifests.render(["algo/a:1.0", "algo/b:1.0", "0" * 32], {})
    with pytest.raises(ImageNotFound):
        await runtime.manifests.render(["0" * 32], {})


async def test_closure(runtime: Runtime) -> None:
    """Dependencies come first, with their level; `replicas` applies only to the requested image."""
    await register(runtime, "algo/a")
    await register(runtime, "algo/b", dependencyServiceId="algo/a:1.0")
    alone = await runtime.manifests.render(["algo/b:1.0"], {})
    assert (alone.order, len(alone.objects)) == ([["algo/b:1.0"]], 1)
    both = await runtime.manifests.render(["algo/b:1.0"], {"closure": "true", "replicas": 3})
    assert both.order == [["algo/a:1.0"], ["algo/b:1.0"]]
    assert [item["spec"]["replicas"] for item in both.objects] == [1, 3]
    waves = [item["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] for item in both.objects]
    assert waves == ["0", "1"]


async def test_set_in_the_order_of_dependencies(runtime: Runtime) -> None:
    """Even without the closure, dependencies within a set come first."""
    await register(runtime, "algo/z")
    await register(runtime, "algo/a", dependencyServiceId="algo/z:1.0")
    found = await runtime.manifests.render(["algo/a:1.0", "algo/z:1.0"], {})
    assert found.order == [["algo/z:1.0"], ["algo/a:1.0"]]


async def test_refused_and_lint(runtime: Runtime) -> None:
    """The API document's example has warnings and needs; if the cards are too small, it is refused."""
    await register(runtime, "algo/posterize")
    document = json.loads(document_examples()[0])
    await runtime.images.register(TRUSTED, document, None)
    found = await runtime.manifests.render(["test1.0:test1.0"], {})
    assert {"hostpath-hides-command", "driver-lib-mount", "no-registry"} <= {each.rule for each in found.warnings}
    assert {each.severity for each in found.warnings} <= {"error", "warning"}
    assert [need["kind"] for need in found.needs] == ["ConfigMap"]
    with pytest.raises(Refused) as caught:
        await runtime.manifests.render(["test1.0:test1.0"], {"cards": "999"})
    assert [(fault.field, fault.code) for fault in caught.value.faults] == [("gpuRequests", "-422")]


async def test_wrong_options(runtime: Runtime) -> None:
    """All invalid options are reported at once, before any image is looked up."""
    with pytest.raises(Refused) as caught:
        await runtime.manifests.render(["algo/none:1.0"], {"profile": "x", "colour": "red", "replicas": "-1"})
    assert [fault.field for fault in caught.value.faults] == ["colour", "replicas", "profile"]
    assert {fault.code for fault in caught.value.faults} == {"202"}


@pytest.mark.parametrize("dependencies", [True, False])
async def test_bounds(runtime: Runtime, monkeypatch: pytest.MonkeyPatch, dependencies: bool) -> None:
    """Too many images and too much text are refused."""
    monkeypatch.setattr(graph, "_FEW", 1)
    names = [f"algo/a{number}" for number in range(3)]
    for name in names:
        await register(runtime, name)
    images = [f"{name}:1.0" for name in names]
    assert len((await runtime.graphs.closure(images, limit=3, dependencies=dependencies)).members) == 3
    with pytest.raises(Refused, match="超过2个"):
        await runtime.graphs.closure(images, limit=2, dependencies=dependencies)
    monkeypatch.setattr(graph, "MAX_CLOSURE_BYTES", 100)
    with pytest.raises(Refused, match="请分几次"):
        await runtime.graphs.closure(images, limit=3, dependencies=dependencies)


async def test_tag(runtime: Runtime) -> None:
    """The parts of the ETag change with a record and with an option."""
    image_id = await register(runtime, "algo/a")

    async def parts(**options: Any) -> str:
        prepared = await runtime.manifests.prepare([image_id], options)
        return repr(prepared.tag_parts(warnings=False))

    first = await parts()
    assert (await parts(), await parts(replicas=1) == first) == (first, False)
    await runtime.images.update(TRUSTED, minimal("algo/a", imageId=image_id, pics=3), None, None)
    assert await parts() != first


async def test_defaults_of_the_site(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are the defaults of options, and a request's options take precedence."""
    rows = tmp_path / "rows.json"
    rows.write_text('[{"name": "edge", "count": "example.com/npu"}]')
    for name, value in {
        "RENDER_DEFAULT_CPU": "250",
        "RENDER_PROFILE": "edge",
        "RENDER_NAMING": " ",
        "GPU_PROFILES_FILE": str(rows),
        "LINT_SEVERITY": '{"no-registry": "info"}',
    }.items():
        monkeypatch.setenv(f"ALGOPLATFORM_{name}", value)
    async with Runtime.open(settings_for(database_url)) as runtime:
        await register(runtime, "algo/a", cpuRequests=0, gpuRequests=1000)
        for options, cpu in (({}, "250m"), ({"defaultCpu": 300}, "300m")):
            found = await runtime.manifests.render(["algo/a:1.0"], options)
            [pod] = found.objects[-1]["spec"]["template"]["spec"]["containers"]
            assert pod["resources"]["requests"]["cpu"] == cpu
            assert pod["resources"]["limits"] == {"example.com/npu": 1}
            assert found.warnings == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RENDER_PROFILE", "none-such", "没有“none-such”这个GPU方案"),
        ("RENDER_DEFAULT_CPU", "many", "defaultCpu须为"),
        ("RENDER_NAMING", "both", "naming须为"),
        ("RENDER_PROFIEL", "hami", "is not an option of rendering"),
        ("GPU_PROFILES_FILE", "/none", "No such file"),
        ("GPU_CARDS", "big", "must be the memory"),
    ],
)
async def test_wrong_settings_stop_the_start(
    database_url: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    """An invalid setting prevents the start, and the message names its variable."""
    monkeypatch.setenv(f"ALGOPLATFORM_{name}", value)
    with pytest.raises(SettingsError) as caught:
        async with Runtime.open(settings_for(database_url)):
            pass
    assert str(caught.value).startswith(f"ALGOPLATFORM_{name}: ")
    assert message in str(caught.value)


async def test_wrong_rows_stop_the_start(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults of the GPU profiles are reported in one line."""
    rows = tmp_path / "rows.json"
    rows.write_text('[{"name": "A"}, {"name": "b", "colour": 1}]')
    monkeypatch.setenv("ALGOPLATFORM_GPU_PROFILES_FILE", str(rows))
    with pytest.raises(SettingsError, match=r"^ALGOPLATFORM_GPU_PROFILES_FILE: row 1: .*; row 2: .*$"):
        async with Runtime.open(settings_for(database_url)):
            pass
