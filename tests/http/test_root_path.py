"""The service under a path prefix of an ingress."""

import pytest

from tests.support.images import IMAGES, minimal
from tests.support.service import serving, settings_for


@pytest.mark.parametrize("prefix", ["/registry", ""])
async def test_with_the_path_or_without(database_url: str, prefix: str) -> None:
    """An ingress may keep or strip the prefix; URLs in responses have it."""
    async with serving(settings_for(database_url, root_path="/registry")) as client:
        answer = await client.post(f"{prefix}{IMAGES}/_register", json=minimal())
        assert answer.headers["location"].startswith(f"/registry{IMAGES}/")
        assert (await client.get(f"{prefix}/docs/assets/swagger-ui.css")).status_code == 200
        document = (await client.get(f"{prefix}/openapi.json")).json()
        assert document["servers"] == [{"url": "/registry"}]


@pytest.mark.parametrize("prefix", ["/registry", ""])
async def test_probes_with_known_hosts(database_url: str, prefix: str) -> None:
    """Probes may use the IP address, with the prefix kept or stripped; other requests may not."""
    given = {"root_path": "/registry", "allowed_hosts": frozenset({"registry.example"})}
    async with serving(settings_for(database_url, **given)) as client:
        for probe in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(f"{prefix}{probe}")).status_code == 200
        assert (await client.get(f"{prefix}{IMAGES}/_search")).status_code == 400
