"""`./dev audit`: what counts as evidence, and which licences are allowed."""

import sys
from email.message import Message
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest

from tests.support.markdown import ROOT
from tools import audit

LOCK = """alembic[tz]==1.2 \\
    --hash=sha256:00
Typing_Extensions==4.1 ; sys_platform == 'win32' \\
    --hash=sha256:00
"""
PACKAGES = {("alembic", "1.2"), ("typing-extensions", "4.1")}
KNOWN = {"id": "PYSEC-1", "fix_versions": ["1.3"], "aliases": []}
CANARY = {"name": "Jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-0", "fix_versions": []}]}
EXTENSIONS = {"name": "typing-extensions", "version": "4.1", "vulns": []}


def report(*items: dict[str, Any]) -> dict[str, Any]:
    """Return a report in pip-audit's format."""
    return {"dependencies": list(items), "fixes": []}


def test_pins() -> None:
    """Every package of a lock is read, for any platform; our locks are read completely."""
    assert audit.pins([LOCK, LOCK]) == PACKAGES
    for path in ROOT.glob("requirements*.lock"):
        assert len(audit.pins([path.read_text()])) == path.read_text().count("==") - path.read_text().count(" == ")


def test_findings() -> None:
    """Vulnerabilities of a package are returned, the canary's are not."""
    alembic = {"name": "alembic", "version": "1.2", "vulns": [KNOWN]}
    found = audit.vulnerabilities(report(CANARY, alembic, EXTENSIONS), PACKAGES)
    assert found == ["alembic 1.2: PYSEC-1, fixed in 1.3"]
    assert audit.vulnerabilities(report(CANARY, alembic | {"vulns": []}, EXTENSIONS), PACKAGES) == []


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], "was not found"),
        ([CANARY | {"vulns": []}], "was not found"),
        ([{"name": "jinja2", "skip_reason": "Dependency not found on PyPI"}], "was not found"),
        ([CANARY, EXTENSIONS], "1 packages were passed over: alembic 1.2"),
        ([CANARY, EXTENSIONS, {"name": "alembic", "skip_reason": "?"}], "1 packages were passed over"),
        ([CANARY, EXTENSIONS, {"name": "alembic", "version": "1.3", "vulns": []}], "1 packages were passed over"),
    ],
)
def test_no_evidence(items: list[dict[str, Any]], reason: str) -> None:
    """A scan that misses the canary or skips a package proves nothing about the others."""
    with pytest.raises(audit.NotAudited, match=reason):
        audit.vulnerabilities(report(*items), PACKAGES)


def scanner(folder: Path, script: str) -> list[str]:
    """Create a program that stands in for pip-audit."""
    program = folder / "scanner.py"
    program.write_text(f"import json, pathlib, sys\n{script}\n")
    return [sys.executable, str(program)]


def test_scan(tmp_path: Path) -> None:
    """The scanner gets each package and the canary, two versions of one package in two files."""
    script = """
files = [pathlib.Path(sys.argv[n + 1]).read_text().split() for n, word in enumerate(sys.argv) if word == "-r"]
print(json.dumps({"dependencies": files}))
sys.exit(1)
"""
    answer = audit.scan({("jinja2", "9"), ("alembic", "1.2")}, scanner(tmp_path, script))
    assert answer == {"dependencies": [["jinja2==2.4.1", "alembic==1.2"], ["jinja2==9"]]}


@pytest.mark.parametrize(("script", "said"), [("sys.exit('no route to host')", "no route to host"), ("", "nothing")])
def test_scan_failed(tmp_path: Path, script: str, said: str) -> None:
    """A scanner without a report has audited nothing; its last line is passed on."""
    with pytest.raises(audit.NotAudited, match=said):
        audit.scan(PACKAGES, scanner(tmp_path, script))


@pytest.mark.parametrize(
    ("given", "code", "last"),
    [
        (report(CANARY, EXTENSIONS), 0, "advisories  1 packages, 0 known vulnerabilities; the canary was found"),
        (report(CANARY, EXTENSIONS | {"vulns": [KNOWN]}), 1, "1 known vulnerabilities; the canary was found"),
        (report(EXTENSIONS), 3, "advisories  not audited: jinja2 2.4.1, known to be vulnerable, was not found to be"),
    ],
)
def test_exit_code(
    given: dict[str, Any],
    code: int,
    last: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Clean, vulnerable and not audited differ in the exit code and in the output."""
    monkeypatch.setattr(audit, "pins", lambda locks: {("typing-extensions", "4.1")})
    monkeypatch.setattr(audit, "scan", lambda packages: given)
    monkeypatch.setattr(audit, "bill_of_materials", lambda target: None)
    assert audit.main() == code
    assert capsys.readouterr().out.splitlines()[-1].endswith(last)


class Stated(Distribution):
    """A package with these licence fields."""

    def __init__(self, **fields: str | list[str]) -> None:
        self.about = Message()
        for name, values in fields.items():
            for value in [values] if isinstance(values, str) else values:
                self.about[name.replace("_", "-")] = value

    @property
    def metadata(self) -> Any:
        """Return the metadata fields."""
        return self.about

    def read_text(self, filename: str) -> None:
        """Return None: there is no file."""

    def locate_file(self, path: Any) -> Any:
        """Return None: there is no file."""


@pytest.mark.parametrize(
    ("fields", "stated", "allowed"),
    [
        ({"License_Expression": "MIT"}, "MIT", True),
        ({"License_Expression": "Apache-2.0 OR BSD-3-Clause"}, "Apache-2.0 OR BSD-3-Clause", True),
        ({"License": "MIT License"}, "MIT", True),
        ({"License": "UNKNOWN", "Classifier": "License :: OSI Approved :: BSD License"}, "BSD-3-Clause", True),
        ({"License": "A long text\nof many lines"}, "unknown", False),
        ({}, "unknown", False),
        ({"License": "Ask us"}, "Ask us", False),
        ({"License_Expression": "GPL-3.0-or-later"}, "GPL-3.0-or-later", False),
        ({"License_Expression": "MIT AND LGPL-2.1-only"}, "MIT AND LGPL-2.1-only", False),
        ({"License_Expression": "MPL-2.0 AND (Apache-2.0 OR MIT)"}, "MPL-2.0 AND (Apache-2.0 OR MIT)", False),
        ({"Classifier": ["License :: OSI Approved :: GNU General Public License (GPL)"]}, "GNU General Public", False),
    ],
)
def test_licences(fields: dict[str, str | list[str]], stated: str, allowed: bool) -> None:
    """An unknown licence, or one that requires more than a notice, is rejected unless it was reviewed."""
    found = audit.licence(Stated(**fields))
    assert found.startswith(stated)
    assert audit.is_allowed("somepackage", found) is allowed
    assert audit.is_allowed("orjson", found) is (allowed or stated.startswith("MPL"))


def test_our_licences() -> None:
    """Every installed dependency, at run time and for development, has an allowed licence."""
    listed = audit.licences(audit.pins([(ROOT / "requirements-dev.lock").read_text()]), sys.path)
    assert len(listed) > 50
    assert [(name, stated) for name, stated, allowed in listed if not allowed] == []
    assert sorted(audit.ALLOWED.keys() - {"fqdn"}) == (
        [name for name, stated, _ in listed if not audit.is_allowed("", stated)]
    )
