"""Random records through the whole service and back."""

import json
from random import Random
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.images import IMAGES, register, upload
from tests.support.postgres import Postgres
from tests.support.service import serving, settings_for
from tests.support.strategies import image_records

Records = list[dict[str, Any]]


def name_of(record: dict[str, Any]) -> str:
    return f"{record['imageName']}:{record['imageTag']}"


def linked(found: Records, chance: Random) -> Records:
    """Make some records depend on earlier ones, and on themselves."""
    names = [name_of(record) for record in found]
    for position, record in enumerate(found):
        needs = chance.sample(names[: position + 1], min(position + 1, chance.randint(0, 3)))
        record.pop("dependencyServiceId", None)
        if needs:
            record["dependencyServiceId"] = ",".join(needs)
    return found


REGISTRIES = st.builds(
    linked,
    st.lists(image_records(), min_size=10, max_size=20, unique_by=name_of),
    st.randoms(use_true_random=False),
)


async def load(client: httpx.AsyncClient) -> bytes:
    answer = await client.post(f"{IMAGES}/_load")
    assert answer.status_code == 200
    return answer.content


@settings(
    max_examples=5,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(REGISTRIES)
async def test_registered_loaded_uploaded_loaded(postgres: Postgres, content: Records) -> None:
    """Images registered one by one are exported, uploaded to an empty registry, and equal byte for byte."""
    with postgres.database() as first, postgres.database() as second:
        async with serving(settings_for(first)) as source, serving(settings_for(second)) as target:
            for record in content:
                await register(source, record["imageName"], record["imageTag"], **_rest(record))
            loaded = await load(source)
            sent = {name_of(record): record for record in content}
            for stored in json.loads(loaded)["res"].values():
                own = {"imageId": stored["imageId"], "deleteFlag": "0"}
                assert {name: value for name, value in stored.items() if value is not None} == sent[
                    name_of(stored)
                ] | own
            assert [name_of(item) for item in json.loads(loaded)["res"].values()] == [
                name_of(item) for item in sorted(content, key=lambda item: (item["imageName"], item["imageTag"]))
            ]
            answer = await upload(target, loaded)
            assert answer.json()["res"]["created"] == len(content), answer.text
            assert await load(target) == loaded
            again = await upload(target, loaded)
            assert again.json()["res"] == {"created": 0, "updated": 0, "unchanged": len(content), "skipped": 0}
            assert await load(target) == loaded


def _rest(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("imageName", "imageTag")}
