"""Rules on the artifact: what the registry reported about an image."""

from typing import Any

import pytest

from algoplatform.planning.lint.policy import Policy
from algoplatform.planning.lint.rules import RULES
from tests.support.linting import found_in, record

PLATFORM: dict[str, Any] = {"os": "linux", "architecture": "amd64", "exposedPorts": [], "user": "1000"}
FACTS: dict[str, Any] = {"state": "present", "moved": False, "days": 0, "platforms": [PLATFORM]}

CASES: list[tuple[str, dict[str, Any], Any, dict[str, Any]]] = [
    ("artifact-missing", {"state": "missing", "platforms": []}, "1.0", {"state": "unreachable", "platforms": []}),
    ("artifact-platform", {"platforms": [PLATFORM | {"architecture": "arm64"}]}, "linux/amd64", {"platforms": []}),
    (
        "artifact-platform",
        {"platforms": [PLATFORM | {"os": "windows"}]},
        "linux/amd64",
        {"platforms": [PLATFORM | {"architecture": "arm64"}, PLATFORM]},
    ),
    ("artifact-moved", {"moved": True}, "1.0", {"moved": False}),
    ("artifact-stale", {"days": 31}, 31, {"days": 30}),
    ("artifact-ports", {"platforms": [PLATFORM | {"exposedPorts": ["80/tcp"]}]}, 80, {"platforms": [PLATFORM]}),
    ("artifact-ports", {"platforms": [PLATFORM | {"exposedPorts": ["x"]}]}, "x", {"platforms": [PLATFORM]}),
    ("artifact-ports", {"platforms": [PLATFORM | {"exposedPorts": ["123456"]}]}, "123456", {"platforms": [PLATFORM]}),
    (
        "artifact-ports",
        {"platforms": [PLATFORM | {"exposedPorts": ["8080/tcp", "53/udp", "1/tcp"]}]},
        1,
        {"platforms": [PLATFORM | {"exposedPorts": ["8080", "53/udp"]}]},
    ),
    ("artifact-root", {"platforms": [PLATFORM | {"user": ""}]}, "root", {"platforms": [PLATFORM | {"user": "10:0"}]}),
    ("artifact-root", {"platforms": [PLATFORM | {"user": "root:app"}]}, "root:app", {}),
    ("artifact-root", {"platforms": [PLATFORM | {"user": "0"}]}, "0", {"platforms": []}),
]


@pytest.mark.parametrize(("rule", "facts", "value", "near"), CASES)
def test_rule(rule: str, facts: dict[str, Any], value: Any, near: dict[str, Any]) -> None:
    """A rule finds its flaw exactly once, and nothing in a near miss."""
    ports = {"imagePorts": "web:8080"} if "8080" in str(facts) else {}
    assert found_in(record(**ports, artifact=FACTS | facts)) == [(rule, value)]
    assert found_in(record(**ports, artifact=FACTS | near)) == []


def test_undeclared_port() -> None:
    """A port of the record that the image does not expose is a finding only if the image exposes another port."""
    facts = FACTS | {"platforms": [PLATFORM | {"exposedPorts": ["8080/tcp"]}]}
    assert found_in(record(imagePorts="web:8080,more:9090,again:9090", artifact=facts), rule="artifact-ports") == [
        ("artifact-ports", 9090)
    ]
    assert found_in(record(imagePorts="web:8080", artifact=FACTS)) == []


def test_another_platform() -> None:
    """The rules check the platform that the site has configured."""
    arm = PLATFORM | {"architecture": "arm64", "user": "0"}
    facts = FACTS | {"platforms": [PLATFORM, arm]}
    policy = Policy(platform="linux/arm64")
    assert found_in(record(artifact=facts), policy=policy) == [("artifact-root", "0")]
    assert found_in(record(artifact=FACTS), policy=policy) == [("artifact-platform", "linux/arm64")]


def test_every_rule_has_a_case() -> None:
    """Every rule on artifacts has a case, and an image that was never verified has no finding."""
    assert {case[0] for case in CASES} == {rule for rule in RULES if rule.startswith("artifact-")}
    assert found_in(record(), record("harbor.local/algo/b", artifact=None)) == []
