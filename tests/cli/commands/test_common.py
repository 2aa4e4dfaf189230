"""Behaviour that all commands share."""

import subprocess
import sys
from pathlib import Path

import pytest

from algoplatform import __version__
from tests.cli.conftest import Call


async def test_version(cli: Call) -> None:
    """--version prints the version and nothing else."""
    result = await cli("--version")
    assert (result.exit_code, result.output) == (0, f"{__version__}\n")


async def test_no_command(cli: Call) -> None:
    """Without a command help is printed; an unknown command gives a hint and no traceback."""
    assert "import" in (await cli()).output
    unknown = await cli("nonsense")
    assert (unknown.exit_code, "No such command" in unknown.output) == (2, True)


@pytest.mark.parametrize("command", ["render", "graph", "impact", "plan", "drift", "import"])
async def test_no_arguments(cli: Call, command: str) -> None:
    """Missing arguments are wrong usage, without a traceback."""
    result = await cli(command)
    assert (result.exit_code, "Missing argument" in result.output) == (2, True)


@pytest.mark.parametrize("command", [["settings"], ["openapi"], ["search"], ["check"], ["serve"], ["migrate"]])
async def test_wrong_setting(cli: Call, command: list[str]) -> None:
    """For each command an invalid setting is one line that names it."""
    result = await cli(*command, PORT="http")
    assert result.exit_code == 2
    assert result.output.startswith("ALGOPLATFORM_PORT: ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("command", [["settings"], ["openapi"], ["search", "--json"], ["check"], ["migrate"]])
async def test_service_link(cli: Call, database_url: str, command: list[str]) -> None:
    """A port variable that Kubernetes set for a Service is ignored, with one line on stderr."""
    result = await cli(*command, PORT="tcp://10.96.12.7:8000", DATABASE_URL=database_url)
    assert result.exit_code == 0, result.output
    assert (result.stderr.count("\n"), "忽略ALGOPLATFORM_PORT" in result.stderr) == (1, True)
    assert "忽略" not in result.stdout


def test_as_a_module(tmp_path: Path) -> None:
    """`python -m algoplatform` is the same command, from any folder, and starts without the web framework."""
    command = [sys.executable, "-X", "importtime", "-m", "algoplatform", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"{__version__}\n"
    assert ("typer" in done.stderr, "fastapi" in done.stderr) == (True, False)


def test_full_disk(tmp_path: Path) -> None:
    """A result that cannot be written is reported in one line."""
    command = [sys.executable, "-m", "algoplatform", "settings"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (2, "无法写到标准输出：No space left on device\n")
