"""Pages of one image: the record, its history, restoring and deleting."""

import httpx

from tests.support.console import post, text_of
from tests.support.images import IMAGES, minimal, register


async def test_record(client: httpx.AsyncClient) -> None:
    """The record links its dependencies and its dependents."""
    base = await register(client, "algo/base")
    image_id = await register(
        client,
        "algo/plate",
        dependencyServiceId="algo/base:1.0,algo/plate:1.0",
        cpuRequests=1500,
        imagePorts="http:80:30080",
    )
    page = (await client.get(f"/console/images/{image_id}")).text
    assert f'href="/console/images/{base}">algo/base:1.0</a>' in page
    assert "1.5 核" in page
    assert 'UTC"' in page
    below = (await client.get(f"/console/images/{base}")).text
    assert f'href="/console/images/{image_id}">algo/plate:1.0</a>' in below


async def test_history(client: httpx.AsyncClient) -> None:
    """Each version shows its changes from the one before; any version can be restored."""
    image_id = await register(client, "algo/a", memRequests=1)
    for memory in (2, 3):
        changed = minimal(imageId=image_id, memRequests=memory)
        assert (await client.post(f"{IMAGES}/_update", json=changed)).status_code == 200
    page = (await client.get(f"/console/images/{image_id}/history")).text
    third = page[page.index('id="v3"') : page.index('id="v2"')]
    assert all(word in third for word in ("memRequests", "<code>2</code>", "<code>3</code>"))
    assert "factory" not in third
    short = (await client.get(f"/console/images/{image_id}/history?pageSize=1&page=2&x=1")).text
    assert 'id="v2"' in short and 'id="v3"' not in short and "上一页" in short and "下一页" in short
    answer = await post(client, f"/images/{image_id}/restore", {"version": "1"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/images/{image_id}")
    assert (await client.get(f"{IMAGES}/{image_id}")).json()["res"]["memRequests"] == 1
    assert (await post(client, f"/images/{image_id}/restore", {"version": "99"})).status_code == 422


async def test_delete_and_undelete(client: httpx.AsyncClient) -> None:
    """Deleting redirects to the history, where it can be undone."""
    image_id = await register(client, "algo/a")
    assert "删除 algo/a:1.0" in text_of((await client.get(f"/console/images/{image_id}/delete")).text)
    answer = await post(client, f"/images/{image_id}/delete", {})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/images/{image_id}/history")
    gone = await client.get(f"/console/images/{image_id}")
    assert gone.status_code == 404
    assert f"/console/images/{image_id}/history" in gone.text
    assert "撤销删除" in (await client.get(f"/console/images/{image_id}/history")).text
    assert (await post(client, f"/images/{image_id}/delete", {})).status_code == 404
    assert (await post(client, f"/images/{image_id}/restore", {})).status_code == 303
    assert (await client.get(f"/console/images/{image_id}")).status_code == 200


async def test_delete_in_use(client: httpx.AsyncClient) -> None:
    """If other images depend on the image, there is no delete button, and deleting is a conflict."""
    base = await register(client, "algo/base")
    await register(client, "algo/user", dependencyServiceId="algo/base:1.0")
    page = (await client.get(f"/console/images/{base}/delete")).text
    assert "algo/user:1.0" in page
    assert "danger solid" not in page
    answer = await post(client, f"/images/{base}/delete", {})
    assert answer.status_code == 409
    assert "algo/user:1.0" in answer.text


async def test_large_history(client: httpx.AsyncClient) -> None:
    """A history of many large records is shown."""
    large = dict.fromkeys(("algoDesc", "incidentId", "command"), "😀" * 4096)
    image_id = await register(client, "algo/a", **large)
    for memory in range(60):
        changed = minimal(imageId=image_id, memRequests=memory)
        assert (await client.post(f"{IMAGES}/_update", json=changed)).status_code == 200
    page = (await client.get(f"/console/images/{image_id}/history")).text
    assert page.count("memRequests") == 50
