"""Runs lint in memory."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from algoplatform.planning.lint.asked import check_asked
from algoplatform.planning.lint.findings import Finding
from algoplatform.planning.lint.linter import Linter
from algoplatform.planning.lint.policy import Policy

TODAY: Final = date(2026, 11, 25)


def record(name: str = "harbor.local/algo/a", tag: str = "1.0", **fields: Any) -> dict[str, Any]:
    """Return a record in which lint finds nothing."""
    clean = {"cpuRequests": 1000, "memRequests": 1024, "gpuRequests": 4096, "tvChannel": 8}
    return {"imageName": name, "imageTag": tag} | clean | fields


def run(
    records: Sequence[dict[str, Any]], policy: Policy | None = None, today: date = TODAY, **asked: Any
) -> tuple[list[Finding], Linter]:
    """Return the findings in all records, and the linter with its counts."""
    linter = Linter(policy or Policy(), check_asked(asked), today)
    found = linter.check(records)
    for more in linter.across():
        found += more
    return found, linter


def found_in(*records: dict[str, Any], policy: Policy | None = None, **asked: Any) -> list[tuple[str, Any]]:
    """Return rule and value of each finding."""
    return [(finding.flaw.rule, finding.flaw.value) for finding in run(records, policy, **asked)[0]]
