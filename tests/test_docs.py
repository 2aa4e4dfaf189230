"""The documents agree with the code and with each other."""

import re
import tomllib
from pathlib import Path

import pytest

from algoplatform.api.http.envelope import HTTP_STATUS
from algoplatform.domain.faults import Code
from algoplatform.manifests.options import OPTIONS
from algoplatform.settings import PREFIX, SECRETS_DIR, Settings
from tests.support.markdown import ROOT, anchor, headings, links, rows

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "deploy").rglob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").iterdir())


def read(name: str) -> str:
    """Return the text of a document."""
    return (ROOT / name).read_text("utf-8")


def test_status_table() -> None:
    """The table lists every code with its HTTP status and title."""
    shown = {code.strip("`"): (http, title) for code, http, _, title in rows(read("docs/status-codes.md"))}
    wanted = {code.value: (str(HTTP_STATUS.get(code, 422)), code.meaning) for code in Code}
    assert shown == wanted | {"-1": ("400 / 408 / 422 / 431", Code.BAD_REQUEST.meaning)}


def test_dependencies() -> None:
    """Every dependency is listed once, in the section of its purpose, with a reason."""
    project = tomllib.loads(read("pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    _, *sections = read("docs/dependencies.md").split("\n## ")
    shown = [[(name, bool(why)) for name, why in rows(section)] for section in sections]
    assert shown == [[(re.split(r"[^\w-]", item)[0], True) for item in group] for group in groups]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(document: Path) -> None:
    """Every link within the checkout leads to a file and, if it names one, a heading."""
    for link in links(document.read_text("utf-8")):
        if link.startswith("https://"):
            continue
        name, _, fragment = link.partition("#")
        target = document.parent / name if name else document
        assert target.resolve().exists(), link
        if fragment:
            assert fragment in [anchor(words) for _, words in headings(target.read_text("utf-8"))], link


def test_files_named() -> None:
    """The source files that the page on architecture and the decisions name exist."""
    folders = "|".join(path.name for path in (ROOT / "src" / "algoplatform").iterdir() if path.is_dir())
    for document in [ROOT / "docs" / "architecture.md", *DECISIONS]:
        named = re.findall(
            rf"`((?:(?:{folders})/[\w/]+|settings|environment|proxies)\.py)`", document.read_text("utf-8")
        )
        assert named or document in DECISIONS
        for name in named:
            assert (ROOT / "src" / "algoplatform" / name).exists(), (document.name, name)


def test_decisions() -> None:
    """Decisions are numbered without gaps, and each has context, decision and consequences."""
    assert [path.name[:4] for path in DECISIONS] == [f"{number:03d}-" for number in range(1, len(DECISIONS) + 1)]
    for path in DECISIONS:
        (_, title), *sections = headings(path.read_text("utf-8"))
        assert title.startswith(path.name[:3])
        assert sections == [(2, "Context"), (2, "Decision"), (2, "Consequence")]


def test_settings_named() -> None:
    """Every variable that a document names is a setting."""
    options = {option.setting for option in OPTIONS}
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {SECRETS_DIR} | options
    for document in DOCUMENTS:
        named = set(re.findall(r"ALGOPLATFORM_[A-Z_]+[A-Z]", document.read_text("utf-8")))
        assert named - known == set(), document.name


def test_tests_named() -> None:
    """Every test that SECURITY.md names exists."""
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", read("SECURITY.md"))
    assert len(named) > 5
    for file, test in named:
        assert re.search(rf"^(async )?def {test}\(", read(file), re.MULTILINE), (file, test)
