"""`./dev audit`: known vulnerabilities and licences of all locked packages, and an SBOM of the service.

A scanner that cannot reach the advisories finds nothing, too. Therefore a package that is known to be
vulnerable, the canary, is scanned with ours: a clean result counts only if the canary is found and no package
is skipped. Exit code 1 means findings, 3 means not audited.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOUND: Final = 1
NOT_AUDITED: Final = 3
CANARY: Final = ("jinja2", "2.4.1")

_PERMISSIVE: Final = frozenset({"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0"})
# SPDX expressions for the names that packages use instead.
_NAMES: Final = {
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSFL": "PSF-2.0",
}
# Packages without a licence in their metadata: the licence of their files, here with that of the bundled axe-core.
_BY_FILE: Final = {"axe-playwright-python": "MIT AND MPL-2.0"}
# The MPL requires the source of its own files, which the package's index provides; our code is not affected.
ALLOWED: Final = dict.fromkeys(
    ("axe-playwright-python", "certifi", "fqdn", "hypothesis", "orjson", "pathspec"), "MPL-2.0"
)

Package = tuple[str, str]


class NotAudited(Exception):
    """The scan proves nothing; the message says why."""


def normal(name: str) -> str:
    """Normalize a package name as indexes do."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(locks: Iterable[str]) -> set[Package]:
    """Return all packages in lock files, for any platform."""
    found = (re.findall(r"^([\w.-]+)(?:\[[\w.,-]+\])?==([^\s;\\]+)", text, re.MULTILINE) for text in locks)
    return {(normal(name), version) for pairs in found for name, version in pairs}


def vulnerabilities(report: Mapping[str, Any], packages: set[Package]) -> list[str]:
    """Return the known vulnerabilities.

    Raises NotAudited if the report lacks a package or finds nothing in the canary.
    """
    scanned = {
        (normal(item["name"]), item["version"]): item["vulns"] for item in report["dependencies"] if "vulns" in item
    }
    if not scanned.get(CANARY):
        raise NotAudited(f"{' '.join(CANARY)}, known to be vulnerable, was not found to be")
    skipped = sorted(" ".join(package) for package in packages - scanned.keys())
    if skipped:
        raise NotAudited(f"{len(skipped)} packages were passed over: {', '.join(skipped)}")
    return [
        f"{name} {version}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'no version'}"
        for name, version in sorted(packages)
        for known in scanned[name, version]
    ]


def scan(packages: set[Package], program: Iterable[str] = (sys.executable, "-m", "pip_audit")) -> dict[str, Any]:
    """Scan the packages and the canary; each requirements file may hold only one version of a package."""
    files: list[dict[str, str]] = [{}]
    for name, version in [CANARY, *sorted(packages)]:
        if all(name in file for file in files):
            files.append({})
        next(file for file in files if name not in file)[name] = version
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--disable-pip", "--format=json", "--progress-spinner=off", "--timeout=10"]
        for number, pinned in enumerate(files):
            file = Path(folder, f"{number}.txt")
            file.write_text("".join(f"{name}=={version}\n" for name, version in pinned.items()))
            options += ["-r", str(file)]
        done = subprocess.run([*program, *options], capture_output=True, text=True, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise NotAudited(f"pip-audit gave no report and said: {said[-1][:200]}") from None
    return report


def licence(package: Distribution) -> str:
    """Return a package's licence as SPDX: its expression, else its licence field, else its classifiers, else by its file."""
    about = package.metadata
    expression, words = ("".join(about.get_all(field) or ()).strip() for field in ("License-Expression", "License"))
    listed = [item.rpartition(" :: ")[2] for item in about.get_all("Classifier") or () if item.startswith("License ::")]
    if expression:
        return expression
    if words and "\n" not in words and words != "UNKNOWN":
        return _NAMES.get(words, words)
    return " OR ".join(_NAMES.get(name, name) for name in listed) or _BY_FILE.get(
        "".join(about.get_all("Name") or ()), "unknown"
    )


def is_allowed(name: str, stated: str) -> bool:
    """Return whether a licence requires no more than a notice, or was reviewed for this package."""
    return set(re.split(r" AND | OR |[()]", stated)) - {""} <= _PERMISSIVE | {ALLOWED.get(name, "MIT")}


def licences(packages: set[Package], folders: list[str]) -> list[tuple[str, str, bool]]:
    """Return name, licence and acceptance of those packages that are installed."""
    installed = {normal(item.name): licence(item) for item in distributions(path=folders)}
    names = sorted({name for name, _ in packages} & installed.keys())
    return [(name, installed[name], is_allowed(name, installed[name])) for name in names]


def bill_of_materials(target: Path) -> None:
    """Write a CycloneDX SBOM of the run-time dependencies."""
    target.parent.mkdir(exist_ok=True)
    inputs = [str(ROOT / "requirements.lock"), "--pyproject", str(ROOT / "pyproject.toml")]
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "requirements",
        *inputs,
        "--output-reproducible",
        "-o",
        str(target),
    ]
    subprocess.run(command, check=True)


def main() -> int:
    """Print the findings; return the exit code."""
    packages = pins(path.read_text() for path in ROOT.glob("requirements*.lock"))
    listed = licences(packages, sys.path)
    for name, stated, allowed in listed:
        print(f"licence  {name}: {stated}{'' if allowed else '  REFUSED'}")
    absent = sorted({name for name, _ in packages} - {name for name, _, _ in listed})
    if absent:
        print(f"licence  not looked at, as not for this platform: {', '.join(absent)}")
    bill_of_materials(ROOT / "dist" / "sbom.json")
    print("sbom     dist/sbom.json")
    code = FOUND if not all(allowed for _, _, allowed in listed) else 0
    try:
        found = vulnerabilities(scan(packages), packages)
    except NotAudited as reason:
        print(f"advisories  not audited: {reason}")
        return code or NOT_AUDITED
    for line in found:
        print(f"advisories  {line}")
    print(f"advisories  {len(packages)} packages, {len(found)} known vulnerabilities; the canary was found")
    return FOUND if found else code


if __name__ == "__main__":
    sys.exit(main())
