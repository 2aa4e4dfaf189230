"""A tour of all operations, to check that another layer changes nothing."""

import json

import httpx

from tests.support.images import IMAGES, delete, minimal, records, register, upload


async def tour(client: httpx.AsyncClient) -> None:
    """Register, read, search, update, delete, upload and load once each, including a refusal."""
    base = await register(client, "algo/base", algoDesc="底座")
    image = await register(client, "algo/a", dependencyServiceId="algo/base:1.0", imagePorts="web:80:30080")
    taken = await client.post(f"{IMAGES}/_register", json=minimal("algo/a"))
    assert (taken.status_code, taken.json()["status"]) == (409, "203")
    changed = minimal("algo/a", imageId=image, algoDesc="安全帽检测")
    for key in ({}, {"idempotency-key": "tour"}, {"idempotency-key": "tour"}):
        answer = await client.post(f"{IMAGES}/_update", json=changed, headers=key)
        assert answer.status_code == 200, answer.text
    read = await client.get(f"{IMAGES}/{image}")
    assert (read.json()["res"]["algoDesc"], read.headers["etag"]) == ("安全帽检测", '"3"')
    found = await client.request("GET", f"{IMAGES}/_search", json={"searchCondition": "帽检"})
    assert [record["imageId"] for record in found.json()["res"]["data"]] == [image]
    assert (await records(client, page=1, pageSize=1))[0]["imageName"] == "algo/a"
    assert (await delete(client, base)).json()["status"] == "220"
    file = (await client.post(f"{IMAGES}/_load")).content
    assert (await upload(client, [minimal("algo/x", env="1")])).status_code == 422
    content = [*json.loads(file)["res"].values(), minimal("algo/b", dependencyServiceId="algo/a:1.0")]
    done = await upload(client, content)
    assert done.json()["res"] == {"created": 1, "updated": 0, "unchanged": 2, "skipped": 0}, done.text
    [new] = await records(client, searchCondition="algo/b:")
    assert (await delete(client, new["imageId"])).status_code == 200
    assert (await client.post(f"{IMAGES}/_load")).content == file
