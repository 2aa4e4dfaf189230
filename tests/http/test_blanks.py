"""Blank values count as absent, on every operation and in unknown fields, too."""

from typing import Any

import httpx
import pytest

from tests.support.images import IMAGES, delete, minimal, records, register, upload


@pytest.mark.parametrize("blank", ["", " \t", None])
async def test_blank_unknown_fields(client: httpx.AsyncClient, blank: str | None) -> None:
    """An empty unknown field has no effect on any operation."""
    more: dict[str, Any] = {"colour": blank}
    image_id = await register(client, **more)
    user = {"authority": 1, "namespace": blank, **more}
    for path, body in (
        ("_update", minimal(imageId=image_id, **more)),
        ("_search", more),
        ("_load", more),
        ("_delete", {"imageId": image_id, "userResult": user, **more}),
        (f"{image_id}/_restore", {"version": blank, **more}),
    ):
        answer = await client.post(f"{IMAGES}/{path}", json=body)
        assert answer.status_code == 200, (path, answer.text)
    assert (await upload(client, [minimal("algo/b", **more)])).status_code == 200
    assert [record["imageName"] for record in await records(client)] == ["algo/a", "algo/b"]


async def test_blank_query_parameters(client: httpx.AsyncClient) -> None:
    """Empty parameters have no effect either; empty options take their defaults."""
    image_id = await register(client)
    for method, path in (("GET", "_search"), ("POST", "_search"), ("POST", "_load"), ("GET", f"{image_id}/history")):
        answer = await client.request(method, f"{IMAGES}/{path}?colour=&page=%20&size=%20")
        assert answer.status_code == 200, (path, answer.text)
    answer = await upload(client, [minimal(factory="b")], colour="", onConflict=" ", dryRun=" ")
    assert answer.json()["res"]["updated"] == 1
    assert (await records(client))[0]["factory"] == "b"


async def test_blank_namespace_is_none(client: httpx.AsyncClient) -> None:
    """A blank namespace is an absent namespace."""
    image_id = await register(client, "test1.0")
    assert (await delete(client, image_id, authority=3, namespace=" ")).json()["status"] == "240"
