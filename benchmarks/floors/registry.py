"""An OCI registry that has every image, all equal, and responds at once."""

import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

_KIND = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = b'{"os":"linux","architecture":"amd64","config":{"Entrypoint":["/serve"],"User":"1000"}}'


def digest_of(content: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{sha256(content).hexdigest()}"


_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": _KIND,
        "config": {"mediaType": _CONFIG_TYPE, "digest": digest_of(_CONFIG), "size": len(_CONFIG)},
        "layers": [{"size": 1000}],
    }
).encode()
_HEADERS = [(b"content-type", _KIND.encode()), (b"docker-content-digest", digest_of(_MANIFEST).encode())]


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Awaitable[None]]
) -> None:
    """Answer HEAD and GET for manifests, and GET for the image configuration."""
    if scope["type"] == "lifespan":
        for state in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{state}.complete"})
        return
    is_blob = "/blobs/" in scope["path"]
    body = _CONFIG if is_blob else _MANIFEST
    headers = [*([] if is_blob else _HEADERS), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
