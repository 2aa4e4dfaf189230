"""The container image: built from the Dockerfile and run as the deployments run it."""

import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from algoplatform import __version__
from tests.faults.servers import Server, wheel_programs
from tests.support.container import Image, NoBase, built, can_build
from tests.support.images import IMAGES, minimal
from tests.support.postgres import execute
from tests.support.programs import free_port
from tests.support.registry import Registry
from tests.support.service import serving_in_background, settings_for
from tests.support.whole_way import walk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_build(), reason="needs buildah, mmdebstrap and root with permission to mount"),
]
USER = 10001


@pytest.fixture
def image() -> Iterator[Image]:
    """Build the image."""
    try:
        with built() as made:
            yield made
    except NoBase as reason:
        pytest.skip(f"cannot build a base image from the system packages: {reason}")


@pytest.fixture
def database() -> Iterator[str]:
    """DSN of an empty database on a TCP port."""
    with tempfile.TemporaryDirectory(prefix="algoplatform-image-") as name:
        # The server's user needs access to its programs.
        Path(name).chmod(0o755)
        server = Server(wheel_programs(Path(name)), Path(name) / "data")
        server.create()
        try:
            server.start()
            execute(server.dsn("postgres"), "CREATE DATABASE algoplatform")
            yield server.dsn()
        finally:
            server.stop()


@contextmanager
def running(command: list[str], log: Path) -> Iterator[int]:
    """Run a container during the block and yield its pid; on SIGTERM it has to exit cleanly."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process.pid
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGTERM), log.read_text()
    finally:
        process.kill()
        process.wait()


def done(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a container to completion."""
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def until_healthy(address: str, pid: int, log: Path) -> None:
    """Wait until `/healthz` responds."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
        try:
            assert httpx.get(f"{address}/healthz").status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())


def identities(pid: int) -> set[int]:
    """Return all user ids of a process: real, effective, saved, file system."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Uid:")]
    return set(map(int, line.split()[1:]))


def test_image(image: Image, database: str, tmp_path: Path) -> None:
    """The image holds only what it needs, does not listen openly by default, and serves.

    One test, as separate ones would each build the image on a worker of their own.
    """
    _holds_no_more(image)
    _refuses_strangers(image)
    _serves(image, database, tmp_path)
    if shutil.which("docker-registry") and shutil.which("skopeo"):
        _goes_the_whole_way(image, database, tmp_path)


def _holds_no_more(image: Image) -> None:
    """The image holds this version, nothing of the build is left, and only /tmp is writable."""
    assert done(image.command("algoplatform", "--version")).stdout.strip() == __version__
    mounts = [line.split() for line in done(image.command("cat", "/proc/self/mounts")).stdout.splitlines()]
    writable = {where for _, where, _, how, *_ in mounts if "ro" not in how.split(",")}
    assert [where for where in writable if not where.startswith(("/dev", "/proc"))] == ["/tmp"]
    assert not (image.root / "build").exists()
    assert not (image.root / "run" / "secrets").exists()
    assert not list((image.root / "venv").rglob("pip.conf"))
    owned = [path for path in (image.root / "venv").rglob("*") if path.lstat().st_uid != 0]
    assert owned == []
    assert image.config["User"] == f"{USER}:{USER}"
    assert not any("PIP" in item for item in image.config["Env"])
    assert list((image.root / "tmp").iterdir()) == []


def _refuses_strangers(image: Image) -> None:
    """By default the service refuses to listen, as no gateway has been declared."""
    database = "postgresql://algoplatform@127.0.0.1:1/algoplatform"
    started = done(image.serve(ALGOPLATFORM_DATABASE_URL=database))
    assert (started.returncode, "ALGOPLATFORM_TRUST_GATEWAY" in started.stderr) == (2, True), started.stderr


def _goes_the_whole_way(image: Image, database: str, tmp_path: Path) -> None:
    """An image is pushed, drafted, registered, verified, and rendered by its digest."""
    registry = Registry(tmp_path)
    settings = settings_for(database, registries=SecretStr(registry.setting()))
    with registry.running(), serving_in_background(settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        name = f"{registry.host}/algo/algoplatform:1.0"
        image.push(name)
        record = walk(client, name, registry.digest("algo/algoplatform:1.0"))
        assert shlex.split(record["command"]) == image.config["Entrypoint"]


def _serves(image: Image, database: str, tmp_path: Path) -> None:
    """As user 10001 the service migrates, serves, registers, searches, is healthy and stops on SIGTERM."""
    port = str(free_port())
    settings = {"ALGOPLATFORM_DATABASE_URL": database, "ALGOPLATFORM_PORT": port}
    settings |= {"ALGOPLATFORM_TRUST_GATEWAY": "true", "ALGOPLATFORM_WORKERS": "2"}
    migrated = done(image.command("algoplatform", "migrate", **settings))
    assert migrated.returncode == 0, migrated.stderr
    health = image.command(*image.config["Healthcheck"]["Test"][1:], ALGOPLATFORM_PORT=port)
    log, address = tmp_path / "log", f"http://127.0.0.1:{port}"
    with running(image.serve(**settings), log) as pid:
        until_healthy(address, pid, log)
        assert identities(pid) == {USER}
        registered = httpx.post(f"{address}{IMAGES}/_register", json=minimal("algo/contained"))
        assert (registered.status_code, registered.json()["msg"]) == (200, "注册成功"), registered.text
        found = httpx.get(f"{address}{IMAGES}/_search", params={"searchCondition": "contained"})
        assert [item["imageName"] for item in found.json()["res"]["data"]] == ["algo/contained"]
        assert done(health).returncode == 0
    assert done(health).returncode != 0
