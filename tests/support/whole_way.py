"""The whole life of a pushed image: draft, register, verify, render by its digest."""

from typing import Any

import httpx
import yaml

from tests.support.images import IMAGES


def walk(client: httpx.Client, image: str, digest: str) -> dict[str, Any]:
    """Draft, register, verify and render a pushed image; return the draft."""
    drafted = client.post(f"{IMAGES}/_draft", json={"image": image}).json()
    assert drafted["status"] == "0", drafted
    record: dict[str, Any] = drafted["res"]
    filled = record | {"factory": "易华录", "algoName": "登记处", "algoType": "1"}
    registered = client.post(f"{IMAGES}/_register", json=filled)
    assert registered.status_code == 200, registered.text
    address = registered.headers["location"]
    verified = client.post(f"{address}/_verify").json()["res"]
    assert (verified["state"], verified["digest"]) == ("present", digest), verified
    rendered = client.get(f"{address}/manifests", params={"pin": "true", "format": "yaml"})
    assert rendered.status_code == 200, rendered.text
    [workload] = [item for item in yaml.safe_load_all(rendered.text) if item["kind"] == "Deployment"]
    [container] = workload["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{image.rpartition(':')[0]}@{digest}"
    return record
