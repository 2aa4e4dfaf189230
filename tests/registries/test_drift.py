"""Drift by verified digests: pods run another image than the one now under the tag."""

import asyncio
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from tests.http.test_drift import deployed, only, paths
from tests.support.cluster import pod
from tests.support.images import IMAGES, register
from tests.support.oci import Layout
from tests.support.registry import Registry, needs_registry
from tests.support.service import serving, settings_for


@needs_registry
async def test_moved_by_a_verified_digest(database_url: str, tmp_path: Path, layout: Layout) -> None:
    """After verification a moved tag is image-moved; with pinned manifests the image field is outdated."""
    registry = Registry(tmp_path)
    for number in (1, 2):
        layout.tag(layout.image(text=str(number)), f"v{number}")
    async with serving(settings_for(database_url, registries=SecretStr(registry.setting()))) as client:
        image_id = await register(client, f"{registry.host}/algo/x", cpuRequests=100)

        async def verified(tag: str) -> str:
            await asyncio.to_thread(registry.push, layout.folder, tag, "algo/x:1.0")
            answer = (await client.post(f"{IMAGES}/{image_id}/_verify")).json()
            assert answer["res"]["state"] == "present", answer
            return str(answer["res"]["digest"])

        tagged = await deployed(client, image_id)
        other = f"sha256:{'0' * 64}"
        entry = await only(client, [*tagged, pod(tagged[-1], digest=other)])
        assert (entry["state"], entry["digest"]) == ("in-sync", None), "never verified"
        with registry.running():
            first = await verified("v1")
            pinned: list[dict[str, Any]] = await deployed(client, image_id, pin="true")
            entry = await only(client, [*tagged, pod(tagged[-1], digest=first)])
            assert (entry["state"], entry["digest"]) == ("in-sync", {"expected": first, "running": [first]})
            second = await verified("v2")
        entry = await only(client, [*tagged, pod(tagged[-1], digest=first)])
        assert (entry["state"], entry["digest"]) == ("image-moved", {"expected": second, "running": [first]})
        entry = await only(client, [*tagged, pod(tagged[-1], digest=second)])
        assert entry["state"] == "in-sync"
        entry = await only(client, [*pinned, pod(pinned[-1], digest=first)], pin="true")
        assert paths(entry) == [("spec.template.spec.containers[main].image", "outdated")]
