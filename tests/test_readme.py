"""The commands of the README and the pages it links to do what they show, in both languages."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from algoplatform.settings import Settings
from tests.support.command import environment, served
from tests.support.markdown import ROOT, Block, blocks, headings, rows

PAGES = ("README", "docs/api", "docs/command-line", "docs/deployment")


def read(page: str) -> tuple[str, str]:
    """Return a page in English and in Chinese."""
    english, chinese = ((ROOT / f"{page}{language}.md").read_text("utf-8") for language in ("", ".zh-CN"))
    return english, chinese


ENGLISH = [read(page)[0] for page in PAGES]
ADDRESS = "http://127.0.0.1:8000"
BIN = Path(sys.executable).parent
ANSWERS = ("json", "text")


def steps() -> list[tuple[str, str | None]]:
    """Pair each command, in page order, with the response shown after it."""
    found = [block for text in ENGLISH for block in blocks(text)]
    after = [*found[1:], Block("", "")]
    return [
        (block.text, answer.text if answer.language in ANSWERS else None)
        for block, answer in zip(found, after, strict=True)
        if block.language == "bash"
    ]


def matches(shown: str, given: str) -> bool:
    """Compare ignoring white space; `…` matches anything."""
    pattern = ".*".join(re.escape(part) for part in "".join(shown.split()).split("…"))
    return re.fullmatch(pattern, "".join(given.split())) is not None


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_commands(database_url: str, tmp_path: Path) -> None:
    """Run in order on a service with the sample, every command succeeds with the response shown."""
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
    """Every operation has its command, and a response unless this is a file."""
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


@pytest.mark.parametrize("page", PAGES)
def test_languages_alike(page: str) -> None:
    """Both languages have the same commands, responses and headings; each has its own pictures."""
    english, chinese = ([block for block in blocks(text) if block.language] for text in read(page))
    assert chinese == english
    english_levels, chinese_levels = ([level for level, _ in headings(text)] for text in read(page))
    assert chinese_levels == english_levels


def test_one_screen() -> None:
    """The README's first screen states the purpose and the audience, and has the two commands to start."""
    for text in read("README"):
        first = text.splitlines()[:33]
        assert [level for level, _ in headings("\n".join(first))] == [1, 2, 2]
        assert {"./dev run", "./dev test"} <= {line.partition("  ")[0] for line in first}
        assert len(text.splitlines()) < 70


@pytest.mark.parametrize("text", read("docs/deployment"), ids=["English", "Chinese"])
def test_settings_shown(text: str) -> None:
    """The settings in the table exist and have the documented defaults."""
    shown = [row for row in rows(text) if row[0].startswith("`ALGOPLATFORM_")]
    assert len(shown) > 5
    for variable, default, _ in shown:
        value = Settings.model_fields[variable.strip("`").removeprefix("ALGOPLATFORM_").lower()].get_default()
        if default.startswith("`"):
            wanted = ",".join(map(str, sorted(value))) if isinstance(value, frozenset) else str(value)
            assert default.strip("`").lower() == wanted.lower()


def test_dev_commands_shown() -> None:
    """The documents name every command of ./dev, and no other."""
    usage = subprocess.run([sys.executable, ROOT / "dev"], capture_output=True, text=True, check=False).stderr
    texts = [*ENGLISH, (ROOT / "CONTRIBUTING.md").read_text("utf-8")]
    named = {command for text in texts for command in re.findall(r"\./dev (\w+)", text)}
    assert named == set(re.findall(r"^  (\w+)", usage, re.MULTILINE))
