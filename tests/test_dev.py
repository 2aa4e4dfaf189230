"""`./dev` with something missing: one clear line, on any version of Python."""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from algoplatform import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the files that `dev` reads, and nothing installed."""
    for name in ("dev", "pyproject.toml", *(lock.name for lock in ROOT.glob("requirements*.lock"))):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(*command: str | Path, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run with only HOME and PATH in the environment."""
    env = {"HOME": os.environ.get("HOME", "/"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        list(map(str, command)), env=env | environment, capture_output=True, text=True, timeout=timeout
    )


@pytest.mark.parametrize("arguments", [[], ["nonsense"]])
def test_usage(checkout: Path, arguments: list[str]) -> None:
    """An unknown or missing command gets the usage, and nothing is installed."""
    done = run(checkout / "dev", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("usage: ./dev COMMAND")
    assert not (checkout / ".venv").exists()


def test_old_python(checkout: Path) -> None:
    """An old Python gets its own version and the required one, whatever the command."""
    simulated = f"""
import runpy, sys
sys.version_info, sys.version = (3, 9, 2), "3.9.2 (default)"
sys.argv = ["dev", "run"]
runpy.run_path({str(checkout / "dev")!r}, run_name="__main__")
"""
    done = run(sys.executable, "-c", simulated)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "./dev: needs Python 3.11 or newer, this is 3.9.2\n"


def test_old_python_can_read_it() -> None:
    """The code that reports this must be valid in an old Python."""
    ast.parse((ROOT / "dev").read_text("utf-8"), feature_version=(3, 6))


def test_no_venv_module(checkout: Path, tmp_path: Path) -> None:
    """Where Debian lacks ensurepip, the package to install is named, and no partial .venv remains."""
    stub = tmp_path / "stub"
    stub.mkdir()
    half = "import os, sys; os.makedirs(sys.argv[1] + '/bin'); sys.exit('ensurepip is not available')"
    (stub / "venv.py").write_text(half)
    done = run(checkout / "dev", "lint", PYTHONPATH=str(stub))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "./dev: making .venv",
        "./dev: cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv",
    ]
    assert not (checkout / ".venv").exists()


def test_run_hands_on_its_arguments(checkout: Path, tmp_path: Path) -> None:
    """`./dev run` is `serve` with the sample, from any folder; a current installation is not repeated."""
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "pip").touch()
    (programs / "algoplatform").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (programs / "algoplatform").chmod(0o755)
    (programs / "python").write_text('#!/bin/sh\necho "$@" >> "${0%/*}/installs"\n')
    (programs / "python").chmod(0o755)
    for _ in range(2):
        done = run(checkout / "dev", "run", "--port", "8080")
        assert done.returncode == 0, done.stderr
        sample = str(checkout / "examples" / "image_list.json")
        assert done.stdout.splitlines() == ["serve", "--sample", sample, "--port", "8080"]
    locked, ours = (programs / "installs").read_text().splitlines()
    assert "--require-hashes -r" in locked
    assert ours.endswith("-e .")


def program(folder: Path, name: str, script: str) -> None:
    """Create a program in a checkout's .venv."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def tested(checkout: Path) -> Path:
    """A checkout whose tests print dots, wait for a file `go`, and end; its programs only print."""
    programs = checkout / ".venv" / "bin"
    for name in ("pip", "python", "ruff", "mypy", "lint-imports"):
        program(programs, name, ":")
    wait = "printf ....; while [ ! -e go ]; do sleep 0.05; done; echo"
    slowest = "echo '== slowest 10 durations =='; echo 1.00s call test_a; printf '== 4 pas'; sleep 0.2; echo 'sed =='"
    folder = '[ -k "$TMPDIR" ] && echo "$TMPDIR" > folder'
    program(programs, "pytest", f"{folder}; {wait}; {slowest}; exit $(cat status)")
    program(programs, "coverage", 'echo "TOTAL 95%"; case "$*" in *$(cat uncovered)*) exit 2; esac')
    (checkout / "status").write_text("0")
    (checkout / "uncovered").write_text("nothing")
    return checkout


@pytest.mark.parametrize(
    ("status", "uncovered", "code", "reports"), [("0", "nothing", 0, 2), ("1", "nothing", 1, 0), ("0", "domain", 2, 2)]
)
def test_progress(tested: Path, status: str, uncovered: str, code: int, reports: int) -> None:
    """`./dev test` shows dots as they come, the slowest tests, the coverage, and last pytest's summary.

    The tests' temporary folder, which all users may write to, is gone afterwards.
    """
    (tested / "status").write_text(status)
    (tested / "uncovered").write_text(uncovered)
    environment = {"PATH": os.environ["PATH"]}
    with subprocess.Popen([sys.executable, tested / "dev", "test"], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 100) == b"...."
        (tested / "go").touch()
        lines = process.stdout.read().decode().splitlines()
    assert lines == [
        "",
        "== slowest 10 durations ==",
        "1.00s call test_a",
        *["TOTAL 95%"] * reports,
        "== 4 passed ==",
    ]
    assert process.returncode == code
    assert not Path((tested / "folder").read_text().strip()).exists()


def test_two_at_once(checkout: Path) -> None:
    """Of two concurrent `./dev run` in a new checkout one installs; the other waits and reuses the result."""
    programs = checkout / ".venv" / "bin"
    program(programs, "pip", ":")
    program(programs, "algoplatform", "echo served")
    program(programs, "python", 'while [ ! -e "${0%/*}/go" ]; do sleep 0.05; done; echo "$@" >> "${0%/*}/installs"')
    command = [sys.executable, str(checkout / "dev"), "run"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stderr is not None
        assert first.stderr.readline() == "./dev: installing requirements-embedded.lock\n"
        with subprocess.Popen(command, **pipes) as second:
            assert second.stderr is not None
            assert second.stderr.readline() == "./dev: waiting for another ./dev to install\n"
            (programs / "go").touch()
            assert second.communicate(timeout=120) == ("served\n", "")
        assert first.communicate(timeout=120) == ("served\n", "")
    assert len((programs / "installs").read_text().splitlines()) == 2


def test_run_in_a_new_checkout(checkout: Path) -> None:
    """`./dev run` in a new checkout installs everything up to the start of the service."""
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "alembic.ini"):
        shutil.copy(ROOT / name, checkout)
    for name in ("alembic", "src"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    index = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    done = run(checkout / "dev", "run", "--help", timeout=900, **index)
    assert done.returncode == 0, done.stderr
    assert "--sample" in done.stdout
    assert not (checkout / ".venv" / "bin" / "pytest").exists()


@pytest.fixture
def builders(tmp_path: Path) -> Path:
    """A folder of fake builders that record arguments and secrets; docker has no daemon."""
    folder = tmp_path / "builders"
    folder.mkdir()
    noting = 'echo "${0##*/} $*" >> "${0%/*}/asked"; for argument; do case $argument in --secret=*) cp "${argument#*src=}" "${0%/*}"; esac; done'
    for name in ("docker", "podman", "buildah"):
        absent = '[ "$1" = version ] && exit 1' if name == "docker" else '[ "$1" = version ] && exit 0'
        (folder / name).write_text(f"#!/bin/sh\n{absent}\n{noting}\n")
        (folder / name).chmod(0o755)
    return folder


def test_image(checkout: Path, builders: Path, tmp_path: Path) -> None:
    """The first usable builder is chosen; it gets pip's configuration as a secret, without local folders."""
    shutil.copytree(ROOT / "src/algoplatform", checkout / "src/algoplatform")
    certificate = tmp_path / "own.pem"
    certificate.write_text("certificate")
    index = "https://user:secret@index.example/simple"
    variables = {"PIP_INDEX_URL": index, "PIP_EXTRA_INDEX_URL": "file:///wheels", "PIP_CERT": str(certificate)}
    path = f"{builders}:{Path(sys.executable).parent}:/usr/bin:/bin"
    done = run(checkout / "dev", "image", "--pull", PATH=path, timeout=60, **variables)
    assert done.returncode == 0, done.stderr
    [asked] = (builders / "asked").read_text().splitlines()
    assert re.fullmatch(
        r"podman build --format=docker --secret=id=pip.conf,src=\S+ --secret=id=ca.pem,src=\S+"
        rf" --tag=algoplatform:{__version__} --tag=algoplatform --pull \.",
        asked,
    )
    assert "secret@" not in asked
    given = configparser.ConfigParser(interpolation=None)
    given.read(builders / "pip.conf")
    assert given["global"]["index-url"] == index
    assert given["global"]["cert"] == "/run/secrets/ca.pem"
    assert "extra-index-url" not in given["global"]
    assert (builders / certificate.name).read_text() == "certificate"


def test_image_without_a_builder(checkout: Path, builders: Path) -> None:
    """Docker without its daemon builds nothing; one line says what is required."""
    for name in ("podman", "buildah"):
        (builders / name).write_text("#!/bin/sh\nexit 1\n")
    done = run(checkout / "dev", "image", PATH=f"{builders}:{Path(sys.executable).parent}:/usr/bin:/bin")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "./dev: needs docker (with its daemon running), podman or buildah\n"


def test_audit_without_its_tools(checkout: Path) -> None:
    """If the tools cannot be installed, nothing is audited, and the exit code says so."""
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "pip").touch()
    (programs / "python").write_text('#!/bin/sh\ncase "$*" in *--target*) exit 1; esac\n')
    (programs / "python").chmod(0o755)
    done = run(checkout / "dev", "audit")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "./dev: not audited: the tools cannot be installed"
