"""Findings as JSON and as SARIF."""

import json
from typing import Any

import pytest

from algoplatform.planning.lint import sarif
from algoplatform.planning.lint.findings import as_json
from algoplatform.planning.lint.policy import Policy
from algoplatform.planning.lint.rules import RULES
from tests.support.linting import record, run

FAULTY = [
    record("h:1/a/x", "latest", hostPath='/a"b\\:/c,/共用:/e', env="A:甲，乙"),
    record("h:1/a/y", cpuRequests=0, hostPath="/共用:/e", dependencyServiceId="h:1/gone:1.0"),
]


def test_json() -> None:
    """`as_json` gives the text of each finding with any characters, under the names of the interface."""
    found, _ = run(FAULTY)
    rows = json.loads(b"[%b]" % as_json(found))
    assert rows == [finding.as_dict() for finding in found]
    assert list(rows[0]) == ["rule", "severity", "image", "images", "field", "value", "message"]
    assert as_json([]) == b""
    long = run([record("h:1/a/x", hostPath=f"/{'长' * 3000}:/{'b' * 1000}", command=f"/{'b' * 1000}/x")])[0]
    assert json.loads(b"[%b]" % as_json(long)) == [finding.as_dict() for finding in long]
    assert all(len(row["message"]) < 200 for row in rows)


@pytest.fixture
def document() -> dict[str, Any]:
    """Return all findings as a SARIF document."""
    policy = Policy(severities={"env-split": "error"})
    found, _ = run(FAULTY, policy)
    parsed: dict[str, Any] = json.loads(sarif.head(policy) + sarif.results(found) + sarif.TAIL)
    return parsed


def test_sarif(document: dict[str, Any]) -> None:
    """The document has the members that SARIF 2.1.0 requires, of the right types."""
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    [run_] = document["runs"]
    driver = run_["tool"]["driver"]
    assert driver["name"] == "algoplatform"
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in {"error", "warning", "note"}
    for result in run_["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
        assert set(result) == {"ruleId", "ruleIndex", "level", "message", "locations", "properties"}


def test_sarif_names_images_and_levels(document: dict[str, Any]) -> None:
    """Images are logical locations, and severities are levels."""
    results = {result["ruleId"]: result for result in document["runs"][0]["results"]}
    [location] = results["hostpath-conflict"]["locations"]
    names = [place["fullyQualifiedName"] for place in location["logicalLocations"]]
    assert names == ["h:1/a/x:latest", "h:1/a/y:1.0"]
    levels = {rule: results[rule]["level"] for rule in ("hostpath-psa", "tag-latest", "dependency-gone", "env-split")}
    assert levels == {"hostpath-psa": "note", "tag-latest": "warning", "dependency-gone": "error", "env-split": "error"}
    configured = {rule["id"]: rule["defaultConfiguration"] for rule in document["runs"][0]["tool"]["driver"]["rules"]}
    assert configured["env-split"] == {"level": "error"}


def test_empty_sarif() -> None:
    """A document without findings is complete."""
    parsed = json.loads(sarif.head(Policy()) + sarif.results([]) + sarif.TAIL)
    assert parsed["runs"][0]["results"] == []
