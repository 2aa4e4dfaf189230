"""The container image, built by `./dev image` with buildah on a base made of the system's packages, and run as a container is."""

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
# Like the image that the Dockerfile names: Python by both its names, and a pip that installs for the whole system.
_BASE = """FROM scratch
ADD base.tar /
RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED && ln -s python3 /usr/bin/python
"""
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
# All is read-only but /tmp, which is memory: what `docker run --read-only --tmpfs /tmp` gives. The mounts end with the program.
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
    """The system's packages cannot be had."""


class Image:
    """A built image: its configuration, and its file system, mounted."""

    def __init__(self, root: Path, config: Mapping[str, Any]) -> None:
        self.root = root
        self.config = config

    def command(self, *arguments: str, **settings: str) -> list[str]:
        """Make the command that runs a program of the image as its user, in its environment and on a read-only file system."""
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
        """Make the command that runs the image as it is."""
        return self.command(*self.config["Entrypoint"], *self.config["Cmd"], **settings)


@contextmanager
def built() -> Iterator[Image]:
    """Build the image in a storage of its own, which takes about a gigabyte and goes with it."""
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
            yield Image(Path(_run(["buildah", "mount", container], environment)), inspected["Docker"]["config"])
        finally:
            _run(["buildah", "rm", container], environment)


def _only_buildah(folder: Path) -> Path:
    """Hide other builders, whose daemon is not the test's to use."""
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
    """Tell whether this machine has what it takes: root alone may not be enough to mount, as within a container."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "mmdebstrap", "unshare"))):
        return False
    mounting = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(mounting, capture_output=True).returncode == 0
