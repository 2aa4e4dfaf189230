"""Debian's docker-registry on a free port, and skopeo to push images to it."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.programs import free_port, running

needs_registry = pytest.mark.skipif(
    not (shutil.which("docker-registry") and shutil.which("skopeo")),
    reason="needs Debian's docker-registry and skopeo",
)
USER, PASSWORD = "algo", "a-Secret,4 all"
# bcrypt of PASSWORD, as `htpasswd -B` writes it.
HTPASSWD = "algo:$2y$05$STOUnYEluu8Pts.xTqUb2eT3dXBniBtgE0kZyp9hfJEewrZpe9IfC"


@dataclass
class Registry:
    """A registry that can be stopped and restarted."""

    folder: Path
    auth: Mapping[str, Any] | None = None
    # Paths of certificate and key.
    tls: tuple[Path, Path] | None = None
    port: int = field(default_factory=free_port)

    @property
    def host(self) -> str:
        """The host, as in image names."""
        return f"127.0.0.1:{self.port}"

    def setting(self, **more: Any) -> str:
        """Return a value of ALGOPLATFORM_REGISTRIES with only this registry."""
        return json.dumps([{"host": self.host, "http": self.tls is None, **more}])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the registry."""
        config = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "test", **self._tls()},
            **({"auth": self.auth} if self.auth else {}),
        }
        file = self.folder / "config.yml"
        file.write_text(yaml.safe_dump(config))
        with running(["docker-registry", "serve", file], self.port, self.folder / "registry.log"):
            yield

    def _tls(self) -> dict[str, Any]:
        if self.tls is None:
            return {}
        certificate, key = map(str, self.tls)
        return {"tls": {"certificate": certificate, "key": key}}

    def push(self, layout: Path, tag: str, name: str, credentials: str = "") -> None:
        """Push an image of a layout with all its platforms."""
        skopeo(
            "copy", "--all", f"oci:{layout}:{tag}", f"docker://{self.host}/{name}", dest=True, credentials=credentials
        )

    def digest(self, name: str, credentials: str = "") -> str:
        """Return the digest of an image, as `skopeo inspect --raw | sha256sum` computes it."""
        raw = skopeo("inspect", "--raw", f"docker://{self.host}/{name}", credentials=credentials)
        return f"sha256:{sha256(raw).hexdigest()}"

    def delete(self, name: str) -> None:
        """Delete an image."""
        skopeo("delete", f"docker://{self.host}/{name}")


def skopeo(command: str, *arguments: str, dest: bool = False, credentials: str = "") -> bytes:
    """Run skopeo; return its output."""
    prefix = "--dest-" if dest else "--"
    given = [f"{prefix}tls-verify=false", *([f"{prefix}creds={credentials}"] if credentials else [])]
    whole = ["skopeo", "--insecure-policy", command, *given, *arguments]
    for _ in range(3):
        done = subprocess.run(whole, capture_output=True, timeout=120)
        if done.returncode == 0:
            return done.stdout
        time.sleep(0.2)
    raise AssertionError(done.stderr.decode())
