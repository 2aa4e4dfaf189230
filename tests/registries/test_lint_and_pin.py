"""Facts of registries in lint and rendering: findings, warnings, and digests with `pin=true`."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import SecretStr

from algoplatform.runtime import Runtime
from algoplatform.storage.images import artifacts
from algoplatform.storage.images.artifacts import Outcome
from tests.registries.test_hostile import DIGEST, honest, setting
from tests.support.images import IMAGES, register
from tests.support.oci import CONFIG, Layout
from tests.support.registry import Registry, needs_registry
from tests.support.replies import replying
from tests.support.service import serving, settings_for


async def rules(client: httpx.AsyncClient, query: str = "") -> list[tuple[str, str]]:
    """Return the rule and the image of each finding on artifacts."""
    found = (await client.get(f"{IMAGES}/_lint{query}")).json()["res"]["findings"]
    return [(each["rule"], each["image"]) for each in found if each["rule"].startswith("artifact-")]


async def warned(client: httpx.AsyncClient, image_id: str) -> set[str]:
    """Return the rules on artifacts that rendering warns about."""
    warnings = (await client.get(f"{IMAGES}/{image_id}/manifests")).json()["res"]["warnings"]
    return {each["rule"] for each in warnings if each["rule"].startswith("artifact-")}


@needs_registry
async def test_moved_and_missing(database_url: str, tmp_path: Path, layout: Layout) -> None:
    """Lint and rendering report a moved tag and an image deleted from its registry."""
    registry = Registry(tmp_path)
    ports: dict[str, Any] = {"ExposedPorts": {"8080/tcp": {}}}
    layout.tag(layout.image(CONFIG | ports), "a")
    layout.tag(layout.image(CONFIG | ports, text="new"), "b")
    layout.tag(layout.image(CONFIG | ports | {"User": "root"}, architecture="arm64"), "c")
    async with serving(settings_for(database_url, registries=SecretStr(registry.setting()))) as client:
        reference = f"{registry.host}/algo/x:1.0"
        image_id = await register(client, f"{registry.host}/algo/x", imagePorts="web:8080")
        await register(client, f"{registry.host}/algo/y")
        seen = []
        with registry.running():
            for pushed in ("a", "b", "c", None):
                if pushed:
                    await asyncio.to_thread(registry.push, layout.folder, pushed, "algo/x:1.0")
                else:
                    await asyncio.to_thread(registry.delete, "algo/x:1.0")
                assert (await client.post(f"{IMAGES}/{image_id}/_verify")).json()["status"] == "0"
                found = await rules(client)
                assert {image for _, image in found} <= {reference}
                assert await rules(client, f"?imageId={image_id}") == found
                assert await rules(client, "?searchCondition=algo/y") == []
                seen.append([rule for rule, _ in found])
                shown = {rule for rule, _ in found} - {"artifact-root"}
                assert await warned(client, image_id) == shown
        assert seen == [
            [],
            ["artifact-moved"],
            ["artifact-moved", "artifact-platform", "artifact-root"],
            ["artifact-missing"],
        ]
        answer = await client.get(f"/console/images/{image_id}")
        assert "仓库中没有这个镜像，无法部署" in answer.text


async def test_pin(database_url: str) -> None:
    """With `pin=true` the digest replaces the tag and changes the ETag; without a known digest it is -422."""
    async with (
        replying(honest) as served,
        serving(settings_for(database_url, registries=SecretStr(setting(served)))) as client,
    ):
        name = f"{served.host}/algo/x"
        image_id = await register(client, name)
        url = f"{IMAGES}/{image_id}/manifests"

        async def rendered(**query: Any) -> httpx.Response:
            return await client.get(url, params={"format": "yaml", **query})

        refused = await rendered(pin="true")
        assert (refused.status_code, refused.json()["status"]) == (422, "-422")
        plain = await rendered()
        await client.post(f"{IMAGES}/{image_id}/_verify")
        pinned = await rendered(pin="true")
        assert _images(pinned) == [f"{name}@{DIGEST}"]
        assert _images(await rendered()) == _images(plain) == [f"{name}:1.0"]
        # Verifying does not change what is rendered without `pin`.
        assert (await rendered()).headers["etag"] == plain.headers["etag"] != pinned.headers["etag"]
        kept = await client.get(
            url, params={"format": "yaml", "pin": "true"}, headers={"If-None-Match": pinned.headers["etag"]}
        )
        assert kept.status_code == 304
        both = {"images": [image_id], "options": {"pin": True}}
        assert DIGEST in (await client.post(f"{IMAGES}/_render", json=both)).text


async def test_pin_follows_the_tag(database_url: str) -> None:
    """A new digest changes the ETag; an outage keeps the last known digest, a missing image has none."""
    settings = settings_for(database_url)
    async with serving(settings) as client, Runtime.open(settings) as runtime:
        image_id = await register(client, "harbor.local/algo/x")
        tags, statuses = [], []
        for outcome in (
            Outcome(image_id, "present", "sha256:1", platforms="[]"),
            Outcome(image_id, "present", "sha256:2", platforms="[]"),
            Outcome(image_id, "unreachable"),
            Outcome(image_id, "missing", platforms="[]"),
        ):
            async with runtime.database.connection() as connection:
                await artifacts.write(connection, [outcome])
            answer = await client.get(f"{IMAGES}/{image_id}/manifests?pin=true&format=yaml")
            tags.append(answer.headers.get("etag"))
            statuses.append(answer.status_code)
    assert statuses == [200, 200, 200, 422]
    assert tags[0] != tags[1] == tags[2]


def _images(answer: httpx.Response) -> list[str]:
    """Return the images of the containers."""
    assert answer.status_code == 200, answer.text
    return [
        container["image"]
        for item in yaml.safe_load_all(answer.text)
        if item["kind"] == "Deployment"
        for container in item["spec"]["template"]["spec"]["containers"]
    ]
