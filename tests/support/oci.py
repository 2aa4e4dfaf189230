"""Hand-made images in the OCI layout, as a builder would write them."""

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = {
    "Entrypoint": ["/app/serve"],
    "Cmd": ["--name", "two words"],
    "Env": ["PATH=/usr/bin:/bin", "MODE=fast,safe"],
    "ExposedPorts": {"8080/tcp": {}, "443/tcp": {}},
    "User": "1000",
    "Volumes": {"/data": {}, "/var/log/app": {}},
    "WorkingDir": "/app",
}


def digest_of(content: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{sha256(content).hexdigest()}"


def dumped(document: object) -> bytes:
    """Return compact JSON."""
    return json.dumps(document, separators=(",", ":")).encode()


class Layout:
    """A folder in the OCI layout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listed: list[dict[str, Any]] = []
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_bytes(dumped({"imageLayoutVersion": "1.0.0"}))

    def blob(self, content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        """Add a blob; return its descriptor."""
        digest = digest_of(content)
        (self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content), **more}

    def image(
        self, config: dict[str, Any] | None = None, architecture: str = "amd64", text: str = ""
    ) -> dict[str, Any]:
        """Add an image whose single layer contains a text; return the descriptor of its manifest."""
        layer = _layer(text)
        whole = {
            "created": "2026-11-01T00:00:00Z",
            "os": "linux",
            "architecture": architecture,
            "config": CONFIG if config is None else config,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(dumped(whole), "application/vnd.oci.image.config.v1+json"),
            "layers": [self.blob(gzip.compress(layer, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")],
        }
        platform = {"os": "linux", "architecture": architecture}
        return self.blob(dumped(manifest), MANIFEST, platform=platform)

    def attestation(self) -> dict[str, Any]:
        """Add an attestation of provenance, as builders do; return its descriptor."""
        own = self.image({}, text="attestation")
        return own | {"platform": {"os": "unknown", "architecture": "unknown"}}

    def index(self, manifests: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Add an index of images; return its descriptor."""
        return self.blob(dumped({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}), INDEX)

    def tag(self, descriptor: dict[str, Any], tag: str) -> str:
        """Tag an image; return its digest."""
        named = descriptor | {"annotations": {"org.opencontainers.image.ref.name": tag}}
        self._listed = [each for each in self._listed if each["annotations"] != named["annotations"]]
        self._listed.append(named)
        (self.folder / "index.json").write_bytes(dumped({"schemaVersion": 2, "manifests": self._listed}))
        return str(descriptor["digest"])


def _layer(text: str) -> bytes:
    content = text.encode()
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            info = tarfile.TarInfo("text")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        return file.getvalue()
