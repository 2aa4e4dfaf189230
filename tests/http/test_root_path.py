"""The service under a path of an ingress."""

import pytest

from tests.support.images import IMAGES, minimal
from tests.support.service import serving, settings_for


@pytest.mark.parametrize("prefix", ["/registry", ""])
async def test_with_the_path_or_without(database_url: str, prefix: str) -> None:
    """An ingress may leave the path on or cut it off; addresses in answers have it."""
    async with serving(settings_for(database_url, root_path="/registry")) as client:
        answer = await client.post(f"{prefix}{IMAGES}/_register", json=minimal())
        assert answer.headers["location"].startswith(f"/registry{IMAGES}/")
        assert (await client.get(f"{prefix}/docs/assets/swagger-ui.css")).status_code == 200
        document = (await client.get(f"{prefix}/openapi.json")).json()
        assert document["servers"] == [{"url": "/registry"}]


@pytest.mark.parametrize("prefix", ["/registry", ""])
async def test_probes_with_known_hosts(database_url: str, prefix: str) -> None:
    """Probes come by number, whether the ingress leaves the path on or cuts it off; nothing else does."""
    given = {"root_path": "/registry", "allowed_hosts": frozenset({"registry.example"})}
    async with serving(settings_for(database_url, **given)) as client:
        for probe in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(f"{prefix}{probe}")).status_code == 200
        assert (await client.get(f"{prefix}{IMAGES}/_search")).status_code == 400
