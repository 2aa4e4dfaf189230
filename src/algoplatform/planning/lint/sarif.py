"""Findings as SARIF 2.1.0 (OASIS), which CI pipelines read. Head, results and tail are sent one after another."""

from collections.abc import Iterable
from typing import Any, Final

import orjson

from algoplatform import __version__
from algoplatform.planning.lint.findings import Finding
from algoplatform.planning.lint.policy import Policy
from algoplatform.planning.lint.rules import RULES, Rule, Severity

MEDIA_TYPE: Final = "application/sarif+json"
_LEVELS: Final[dict[Severity, str]] = {"error": "error", "warning": "warning", "info": "note"}
_INDEX: Final = {rule: number for number, rule in enumerate(RULES)}
_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
TAIL: Final = b"]}]}"


def head(policy: Policy) -> bytes:
    """Return the document up to the first result."""
    rules = [_rule(rule, policy.severities.get(rule.id, rule.severity)) for rule in RULES.values()]
    driver = {"name": "algoplatform", "version": __version__, "rules": rules}
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": []}]}
    return orjson.dumps(document).removesuffix(TAIL)


def results(findings: Iterable[Finding]) -> bytes:
    """Return the findings as members of a JSON array, without its brackets."""
    return orjson.dumps([_result(finding) for finding in findings])[1:-1]


def _rule(rule: Rule, severity: Severity) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.summary},
        "help": {"text": rule.advice},
        "defaultConfiguration": {"level": _LEVELS[severity]},
    }


def _result(finding: Finding) -> dict[str, Any]:
    flaw, severity, images = finding
    return {
        "ruleId": flaw.rule,
        "ruleIndex": _INDEX[flaw.rule],
        "level": _LEVELS[severity],
        "message": {"text": flaw.message},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": name, "kind": "resource"} for name in images]}],
        "properties": {"field": flaw.field, "value": flaw.value},
    }
