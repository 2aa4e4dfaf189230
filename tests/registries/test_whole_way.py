"""The whole life of a hand-made image; tests/deploy/test_image.py does the same with the service's own image."""

import httpx
from pydantic import SecretStr

from tests.support.oci import Layout
from tests.support.registry import Registry, needs_registry
from tests.support.service import serving_in_background, settings_for
from tests.support.whole_way import walk


@needs_registry
def test_whole_way(registry: Registry, layout: Layout, database_url: str) -> None:
    """An image is pushed, drafted, registered, verified, and rendered by its digest."""
    layout.tag(layout.image(), "a")
    registry.push(layout.folder, "a", "algo/whole:1.0")
    settings = settings_for(database_url, registries=SecretStr(registry.setting()))
    with serving_in_background(settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        record = walk(client, f"{registry.host}/algo/whole:1.0", registry.digest("algo/whole:1.0"))
    assert record["command"] == "/app/serve"
