"""The OpenAPI examples of verifying and drafting equal what the service answers."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from algoplatform.api.docs.examples import IMAGE_ID
from tests.http.test_openapi import examples
from tests.registries.test_hostile import UNKNOWN
from tests.support.cluster_examples import known
from tests.support.images import IMAGES, upload
from tests.support.oci import MANIFEST, digest_of, dumped
from tests.support.replies import Asked, reply, replying
from tests.support.service import serving, settings_for

CONFIG = dumped(
    {
        "created": "2026-11-03T08:30:00Z",
        "os": "linux",
        "architecture": "amd64",
        "config": {
            "Entrypoint": ["/home/realtimetest/restart.sh"],
            "Cmd": ["--channels", "16"],
            "Env": ["LANG=C.UTF-8"],
            "ExposedPorts": {"8080/tcp": {}},
            "User": "1000",
            "Volumes": {"/data/videos": {}},
            "WorkingDir": "/home",
        },
    }
)
CONTENT = dumped(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(CONFIG),
            "size": len(CONFIG),
        },
        "layers": [{"size": 31_457_280}, {"size": 4096}],
    }
)


def answer(asked: Asked) -> bytes:
    """Answer as harbor.local, which has only algo/posterize; requests arrive as through an HTTP proxy."""
    _, _, path = asked.target.partition("http://harbor.local/v2/algo/posterize/")
    if path == "manifests/1.0":
        return reply(200, CONTENT, {"content-type": MANIFEST, "docker-content-digest": digest_of(CONTENT)})
    return reply(200, CONFIG) if path.startswith("blobs/") else reply(404, UNKNOWN)


async def test_examples(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example request, sent through the proxy of the environment, gets the example answer."""
    registry = '[{"host": "harbor.local", "http": true}]'
    settings = settings_for(database_url, registries=SecretStr(registry), render={"registry": "harbor.local"})
    async with replying(answer) as proxy, serving(settings) as client:
        # Set only now, as the client of this test has already read the environment.
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        assert (await upload(client, known())).status_code == 200
        answers: dict[str, httpx.Response] = {
            "verify": await client.post(f"{IMAGES}/{IMAGE_ID}/_verify", json=examples("verify", "request")[0]),
            "artifact": await client.get(f"{IMAGES}/{IMAGE_ID}/artifact"),
            "draft": await client.post(f"{IMAGES}/_draft", json=examples("draft", "request")[0]),
            "verifySet": await client.post(f"{IMAGES}/_verify", json=examples("verifySet", "request")[0]),
        }
    shown: dict[str, Any] = {name: examples(name, "200")[0] for name in answers}
    assert {name: _timeless(each.json()) for name, each in answers.items()} == {
        name: _timeless(each) for name, each in shown.items()
    }


def _timeless(document: dict[str, Any]) -> dict[str, Any]:
    """Replace the time of the check by a constant."""
    res = document["res"]
    return document | {"res": res | {"checkedAt": "now"} if "checkedAt" in res else res}
