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
