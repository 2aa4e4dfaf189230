"""Images in their registries: list, record, drafting, lint and pinning."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.support.console import inputs, post, replaced, text_of
from tests.support.images import register
from tests.support.oci import Layout
from tests.support.registry import Registry, needs_registry
from tests.support.service import serving, settings_for

pytestmark = needs_registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry for the images of a layout."""
    served = Registry(tmp_path_factory.mktemp("registry"))
    with served.running():
        yield served


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An OCI layout with an index tagged `a` and an image tagged `b`."""
    layout = Layout(tmp_path / "layout")
    layout.tag(layout.index([layout.image(), layout.image(architecture="arm64")]), "a")
    layout.tag(layout.image({"Env": ["A=1", "9=2"]}), "b")
    return layout


async def test_list_and_record(registry: Registry, layout: Layout, database_url: str) -> None:
    """The list shows an image's state after its first verification; the record shows facts and a button to verify."""
    await asyncio.to_thread(registry.push, layout.folder, "a", "algo/seen:1.0")
    async with serving(settings_for(database_url, registries=SecretStr(registry.setting()))) as client:
        name = f"{registry.host}/algo/seen"
        seen, lost = await register(client, name), await register(client, f"{registry.host}/algo/lost")
        away = await register(client, "elsewhere.local/algo/x")
        new = (await client.get("/console/images")).text
        assert "<th>仓库" in new and "在仓库中" not in new
        page = (await client.get(f"/console/images/{seen}")).text
        assert "从未校验" in page
        answer = await post(client, f"/images/{seen}/verify", {})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/console/images/{seen}#artifact")
        for other in (lost, away):
            assert (await post(client, f"/images/{other}/verify", {})).status_code == 303
        rows = (await client.get("/console/images")).text.partition("</tbody>")[0].split("<tr>")
        chips = {row.split(":1.0<")[0].rpartition("/")[2]: text_of(row).rstrip()[-5:] for row in rows[2:]}
        assert [chips[name].endswith(word) for name, word in _CHIPS.items()] == [True] * 3, chips
        page = (await client.get(f"/console/images/{seen}")).text
        digest = re.search(r'<code id="digest">(sha256:\w{64})', page)
        assert digest and digest[1] == await asyncio.to_thread(registry.digest, "algo/seen:1.0")
        assert "linux/amd64" in page and "linux/arm64" in page and "Bytes" in page and 'data-copy="digest"' in page
        assert "仓库中没有这个镜像" in (await client.get(f"/console/images/{lost}")).text
        assert "artifact-missing" in (await client.get("/console/lint?rule=artifact-missing")).text
        await _pinned(client, seen, lost, digest[1])
        await asyncio.to_thread(registry.push, layout.folder, "b", "algo/seen:1.0")
        await post(client, f"/images/{seen}/verify", {})
        assert "标签已变" in (await client.get("/console/images?searchCondition=seen")).text
        assert "tag moved" in (await client.get(f"/console/images/{seen}", headers={"cookie": "language=en"})).text
        assert (await post(client, f"/images/{'0' * 32}/verify", {})).status_code == 404


_CHIPS = {"seen": "在仓库中", "lost": "仓库中没有", "x": "仓库未配置"}


async def _pinned(client: httpx.AsyncClient, seen: str, lost: str, digest: str) -> None:
    pinned = await client.get(f"/console/images/{seen}/manifests?pin=true")
    assert f"@{digest}" in pinned.text
    refused = await client.get(f"/console/images/{lost}/manifests?pin=true")
    assert (refused.status_code, 'href="#pin"' in refused.text) == (422, True)


async def test_rights(registry: Registry, database_url: str) -> None:
    """Only people who may change an image may verify it; without configured registries no page mentions them."""
    given: dict[str, Any] = {"authority_header": "X-Authority", "namespaces_header": "X-Namespaces"}
    async with serving(settings_for(database_url, registries=SecretStr(registry.setting()), **given)) as client:
        client.headers.update({"x-authority": "2", "x-namespaces": "algo"})
        image_id = await register(client, "algo/x")
        assert "/verify" in (await client.get(f"/console/images/{image_id}")).text
        client.headers["x-namespaces"] = "other"
        assert "/verify" not in (await client.get(f"/console/images/{image_id}")).text
        assert (await post(client, f"/images/{image_id}/verify", {})).status_code == 403
        del client.headers["x-authority"]
        assert (await client.get("/console/images/new?from=a/b:1")).status_code == 403
    async with serving(settings_for(database_url)) as client:
        pages = [(await client.get(f"/console/images{path}")).text for path in ("", "/new", f"/{image_id}")]
        assert "<th>仓库" not in pages[0] and 'name="from"' not in pages[1] and "/verify" not in pages[2]


async def test_draft(registry: Registry, layout: Layout, database_url: str) -> None:
    """The form is filled in from an image and lists what was left out; a refused draft keeps the form."""
    for tag in ("a", "b"):
        await asyncio.to_thread(registry.push, layout.folder, tag, f"algo/draft:{tag}")
    async with serving(settings_for(database_url, registries=SecretStr(registry.setting()))) as client:
        assert 'name="from"' in (await client.get("/console/images/new")).text
        source = f"{registry.host}/algo/draft"
        page = (await client.get("/console/images/new", params={"from": f"{source}:a"})).text
        fields = inputs(page)
        assert ("imageName", source) in fields and ("workingDir", "/app") in fields and ("env.1", "fast,safe") in fields
        assert f"已按 {source}:a 填写" in page and "没有采用" not in page
        filled = [*replaced(fields, factory="x", algoName="y"), ("algoType", "1")]
        assert (await post(client, "/images/new", filled)).status_code == 303
        page = (await client.get("/console/images/new", params={"from": f"{source}:b"})).text
        assert "没有采用" in page and "env的“9”" in page
        for strange in (
            f"{source}:none",
            "elsewhere.local/a:1",
            "x",
            "<script>:1",
            "a" * 400,
            "://",
            "\0:1",
            f"{source}@x",
        ):
            answer = await client.get("/console/images/new", params={"from": strange})
            assert answer.status_code == 422, strange
            assert 'id="from-fault"' in answer.text and "<script>:" not in answer.text
            assert 'id="form"' in answer.text and 'href="#from"' in answer.text
        page = (await client.get("/console/images/new", params={"from": "elsewhere.local:5000/a"})).text
        assert ("imageName", "elsewhere.local:5000/a") in inputs(page)
        assert (await client.get("/console/images/new?from=")).status_code == 200
