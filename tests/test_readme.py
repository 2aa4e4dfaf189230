"""The README's commands do what it says, in both languages."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from algoplatform.settings import Settings
from tests.support.command import environment, served
from tests.support.markdown import ROOT, Block, blocks, headings, rows

ENGLISH = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8000"
BIN = Path(sys.executable).parent
ANSWERS = ("json", "text")


def steps() -> list[tuple[str, str | None]]:
    """Pair each command with the answer shown right after it."""
    found = blocks(ENGLISH)
    after = [*found[1:], Block("", "")]
    return [
        (block.text, answer.text if answer.language in ANSWERS else None)
        for block, answer in zip(found, after, strict=True)
        if block.language == "bash"
    ]


def matches(shown: str, given: str) -> bool:
    """Compare without white space; `…` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in "".join(shown.split()).split("…"))
    return re.fullmatch(pattern, "".join(given.split())) is not None


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_commands(database_url: str, tmp_path: Path) -> None:
    """Run in turn on a service with the sample, every command succeeds and answers what stands below it."""
    env = environment(database_url)
    sample = ROOT / "examples" / "image_list.json"
    with served(BIN / "algoplatform", env, tmp_path, "--sample", sample) as address:
        for command, answer in steps():
            script = command.replace(ADDRESS, address).replace(".venv/bin/", f"{BIN}/")
            done = subprocess.run(
                ["bash", "-euc", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            assert answer is None or matches(answer, done.stdout), f"{command}\n{done.stdout}"


def test_operations_shown() -> None:
    """Every operation has its command, and an answer wherever the answer is not a file."""
    commands = "".join(command for command, _ in steps())
    for operation in (
        "_register",
        "_search",
        "_update",
        "_delete",
        "_load",
        "_upload",
        "/history",
        "_restore",
        "images/c675",
    ):
        assert operation in commands
    assert [command for command, answer in steps() if "curl" in command and not answer and "-o " not in command] == []


def test_languages_alike() -> None:
    """Both languages show the same commands and answers, under the same structure of headings."""
    assert blocks(CHINESE) == blocks(ENGLISH)
    assert [level for level, _ in headings(CHINESE)] == [level for level, _ in headings(ENGLISH)]


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_settings_shown(text: str) -> None:
    """The settings in the table exist and have the defaults it gives."""
    shown = [row for row in rows(text) if row[0].startswith("`ALGOPLATFORM_")]
    assert len(shown) > 5
    for variable, default, _ in shown:
        value = Settings.model_fields[variable.strip("`").removeprefix("ALGOPLATFORM_").lower()].get_default()
        if default.startswith("`"):
            wanted = ",".join(map(str, sorted(value))) if isinstance(value, frozenset) else str(value)
            assert default.strip("`").lower() == wanted.lower()


def test_dev_commands_shown() -> None:
    """The commands of ./dev that the README names are its own."""
    usage = subprocess.run([sys.executable, ROOT / "dev"], capture_output=True, text=True, check=False).stderr
    named = set(re.findall(r"\./dev (\w+)", ENGLISH))
    assert named >= {"run", "test"}
    for command in named:
        assert re.search(rf"^  {command}\b", usage, re.MULTILINE)
