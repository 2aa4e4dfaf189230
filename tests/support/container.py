"""The container image: `./dev image` builds it with buildah, on a base made of system packages."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.programs import ROOT

NAME = "algoplatform"
# Like the base image of the Dockerfile: Python under both names, and a pip that installs system-wide.
_BASE = """FROM scratch
ADD base.tar /
RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED && ln -s python3 /usr/bin/python
"""
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
# Read-only except /tmp, a tmpfs, like `docker run --read-only --tmpfs /tmp`. The mounts end with the program.
_ENTER = """set -e
mount --bind "$1" "$1"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -o remount,bind,ro "$1"
root=$1 user=$2
shift 2
exec chroot --userspec="$user" "$root" "$@"
"""


class NoBase(Exception):
    """The system packages are not available."""


class Image:
    """A built image: its configuration, and its mounted file system."""

    def __init__(self, root: Path, config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self.root = root
        self.config = config
        self._environment = environment

    def push(self, image: str) -> None:
        """Push it to a registry without TLS."""
        _run(["buildah", "push", "--quiet", "--tls-verify=false", NAME, f"docker://{image}"], self._environment)

    def command(self, *arguments: str, **settings: str) -> list[str]:
        """Return the command that runs a program in the image, as its user and on a read-only file system."""
        given = [f"{name}={value}" for name, value in settings.items()]
        entered = ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self.root), self.config["User"]]
        return [
            *entered,
            "/usr/bin/env",
            "-i",
            "-C",
            self.config["WorkingDir"],
            *self.config["Env"],
            *given,
            *arguments,
        ]

    def serve(self, **settings: str) -> list[str]:
        """Return the command that runs the image as configured."""
        return self.command(*self.config["Entrypoint"], *self.config["Cmd"], **settings)


@contextmanager
def built() -> Iterator[Image]:
    """Build the image in temporary storage, about 1 GB, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="algoplatform-image-") as name:
        folder = Path(name)
        storage = folder / "storage.conf"
        roots = f'graphroot = "{folder}/layers"\nrunroot = "{folder}/run"\n'
        storage.write_text(f'[storage]\ndriver = "vfs"\n{roots}')
        given = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot", "CONTAINERS_STORAGE_CONF": str(storage)}
        environment = os.environ | given | {"PATH": f"{_only_buildah(folder)}:{os.environ['PATH']}"}
        _build_base(folder, environment)
        _run([sys.executable, ROOT / "dev", "image", "--pull=never"], environment)
        container = _run(["buildah", "from", "--pull=never", NAME], environment)
        try:
            inspected = json.loads(_run(["buildah", "inspect", "--type=image", NAME], environment))
            mounted = Path(_run(["buildah", "mount", container], environment))
            yield Image(mounted, inspected["Docker"]["config"], environment)
        finally:
            _run(["buildah", "rm", container], environment)


def _only_buildah(folder: Path) -> Path:
    """Hide other builders, whose daemons tests must not use."""
    hidden = folder / "hidden"
    hidden.mkdir()
    for other in ("docker", "podman"):
        (hidden / other).write_text("#!/bin/sh\nexit 1\n")
        (hidden / other).chmod(0o755)
    return hidden


def _build_base(folder: Path, environment: Mapping[str, str]) -> None:
    [name] = set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    release = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    base = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", release[1] if release else "stable"]
    made = subprocess.run([*base, folder / "base.tar"], capture_output=True, text=True)
    if made.returncode:
        raise NoBase(made.stderr[-500:])
    (folder / "Dockerfile").write_text(_BASE)
    _run(["buildah", "build", "--quiet", f"--tag=docker.io/library/{name}", folder], environment)
    (folder / "base.tar").unlink()


def _run(command: list[str | Path], environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout.strip()


def can_build() -> bool:
    """Return whether this machine can build: root may be unable to mount, for example in a container."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "mmdebstrap", "unshare"))):
        return False
    mounting = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(mounting, capture_output=True).returncode == 0
