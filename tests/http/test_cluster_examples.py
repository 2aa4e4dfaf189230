"""The OpenAPI examples of rendering, graph, lint, drift and planning equal what the service answers."""

from typing import Any

import httpx

from algoplatform.api.docs.examples import IMAGE_ID
from algoplatform.api.docs.examples_cluster import EXAMPLES
from tests.http.test_openapi import examples
from tests.support.cluster_examples import known
from tests.support.images import IMAGES, upload
from tests.support.plans import worked_example

IMAGE = f"{IMAGES}/{IMAGE_ID}"


async def test_examples(client: httpx.AsyncClient) -> None:
    """Each example request gets the example response."""
    assert (await upload(client, known())).status_code == 200
    up = f"{IMAGE}/dependencies?direction=up"
    answers: dict[str, httpx.Response] = {
        "manifests": await client.get(f"{IMAGE}/manifests"),
        "render": await client.post(f"{IMAGES}/_render", json=examples("render", "request")[0]),
        "dependencies": await client.get(up),
        "impact": await client.post(f"{IMAGE}/_impact", json=examples("impact", "request")[0]),
        "lint": await client.get(f"{IMAGES}/_lint?severity=warning&rule=no-registry,channels-unknown,no-requests"),
        "drift": await client.post(f"{IMAGES}/_drift", json=examples("drift", "request")[0]),
    }
    assert (await upload(client, worked_example())).status_code == 200
    answers["plan"] = await client.post(f"{IMAGES}/_plan", json=examples("plan", "request")[0])
    shown: dict[str, Any] = {name: examples(name, "200")[0] for name in answers}
    assert {name: answer.json() for name, answer in answers.items()} == shown
    raw = {
        "yaml": (await client.get(f"{IMAGE}/manifests?format=yaml")).text,
        "mermaid": (await client.get(f"{up}&format=mermaid")).text,
        "dot": (await client.get(f"{up}&format=dot")).text,
    }
    assert raw == {name: EXAMPLES[name] for name in raw}
