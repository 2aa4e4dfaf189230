"""Settings of a site: severities, exemptions, cards; faulty settings are refused with a clear message."""

import json
from datetime import date
from typing import Any

import pytest

from algoplatform.planning.lint.policy import Exemption, Policy, parse_cards, parse_exemptions, parse_severity
from tests.support.linting import TODAY, found_in, record, run

PORTS = range(30000, 32768)


def test_defaults() -> None:
    """Empty settings give the default policy."""
    assert Policy.parse("", " ", "", PORTS) == Policy(severities={}, exemptions=[], cards=[], node_ports=PORTS)


def test_settings() -> None:
    """All settings are parsed."""
    exemption = {"rule": "tag-latest", "image": "algo/*", "reason": "测试", "until": "2026-12-31"}
    policy = Policy.parse('{"tag-latest": "error"}', json.dumps([exemption]), "24268, 15109", PORTS)
    assert policy.severities == {"tag-latest": "error"}
    assert policy.exemptions == [Exemption("tag-latest", "algo/*", "测试", date(2026, 12, 31))]
    assert policy.cards == [15109, 24268]


def test_severity() -> None:
    """A severity in the settings replaces that of the rule, even of a rule whose severity depends on the case."""
    clash = [record(name, imagePorts="p:80:30001") for name in ("h:1/x/a", "h:1/y/b")]
    policy = Policy(severities={"node-port-clash": "error", "tag-latest": "info"})
    found, linter = run([*clash, record("h:1/a", "latest")], policy)
    assert [(item.flaw.rule, item.severity) for item in found] == [("tag-latest", "info"), ("node-port-clash", "error")]
    assert linter.counts == {"tag-latest": 1, "node-port-clash": 1}


@pytest.mark.parametrize(
    ("image", "rule", "until", "exempt"),
    [
        ("h:1/algo/*", "tag-latest", None, True),
        ("h:1/algo/?:latest", "tag-latest", None, True),
        ("*", "tag-latest", date(2026, 11, 25), True),
        ("*", "tag-latest", date(2026, 11, 24), False),
        ("*", "no-registry", None, False),
        ("h:1/algo/x", "tag-latest", None, False),
        ("h:1/algo/[xa]:*", "tag-latest", None, False),
        ("H:1/algo/*", "tag-latest", None, False),
    ],
)
def test_exemptions(image: str, rule: str, until: date | None, exempt: bool) -> None:
    """An exemption applies to its rule and images until the end of its last day."""
    policy = Policy(exemptions=[Exemption(rule, image, "r", until)])
    found, linter = run([record("h:1/algo/x", "latest")], policy, TODAY)
    assert (not found, not linter.total) == (exempt, exempt)


@pytest.mark.parametrize(("pattern", "left"), [("*/a:*", ["b", "c"]), ("*/[ab]:*", ["a", "b", "c"])])
def test_exempt_from_a_clash(pattern: str, left: list[str]) -> None:
    """An exempt image is ignored by rules across records; the others still clash."""
    clash = [record(f"h:1/n/{name}", imagePorts="p:80:30001", hostPath="/d:/d") for name in "abc"]
    policy = Policy(exemptions=[Exemption(rule, pattern, "r") for rule in ("node-port-clash", "hostpath-conflict")])
    found = run(clash, policy, rule="node-port-clash,hostpath-conflict")[0]
    assert [item.images for item in found] == [[f"h:1/n/{name}:1.0" for name in left]] * 2


def test_exempt_from_a_cycle() -> None:
    """A cycle with an exempt member is no finding, nor is a missing dependency of an exempt image."""
    cycle = [record(f"h:1/n/{a}", dependencyServiceId=f"h:1/n/{b}:1.0,h:1/n/no:1.0") for a, b in ("ab", "ba")]
    rules = ("dependency-cycle", "dependency-gone")
    policy = Policy(exemptions=[Exemption(rule, "*/a:*", "r") for rule in rules])
    assert [item.images for item in run(cycle, policy)[0]] == [["h:1/n/b:1.0"]]


def test_exempt_node_ports_are_not_counted() -> None:
    """Node ports of exempt images do not count towards the limit of the cluster."""
    many = [record(f"h:1/n/x{number}", imagePorts=f"p:80:{30000 + number}") for number in range(17)]
    policy = Policy(node_ports=range(30000, 30016))
    assert found_in(*many, policy=policy, rule="node-ports-exhausted")
    policy = Policy(node_ports=range(30000, 30016), exemptions=[Exemption("node-ports-exhausted", "*/x1:*", "r")])
    assert not found_in(*many, policy=policy, rule="node-ports-exhausted")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ("[]", "must be a JSON object"),
        ('{"tag-latests": "error"}', 'there is no rule "tag-latests"'),
        ('{"tag-latest": "off"}', "the severity of tag-latest must be one of error, warning, info"),
        ('{"tag-latest": []}', "the severity of tag-latest must be one of error, warning, info"),
    ],
)
def test_wrong_severity(text: str, message: str) -> None:
    """A faulty severity is refused with a message."""
    with pytest.raises(ValueError, match=f"^{message}"):
        parse_severity(text)


GOOD = {"rule": "tag-latest", "image": "*", "reason": "r"}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ([], "exemption 2 must be an object with rule, image, reason and until only"),
        (GOOD | {"extra": "x"}, "exemption 2 must be an object with rule, image, reason and until only"),
        (GOOD | {"image": 1}, "exemption 2 must have texts as values"),
        (GOOD | {"image": " "}, "exemption 2 needs image"),
        ({"rule": "tag-latest", "image": "*"}, "exemption 2 needs reason"),
        (GOOD | {"rule": "x"}, 'exemption 2: there is no rule "x"'),
        (GOOD | {"until": "soon"}, "until must be a day such as 2027-01-31 in exemption 2"),
        (GOOD | {"until": None}, "exemption 2 must have texts as values"),
    ],
)
def test_wrong_exemption(item: Any, message: str) -> None:
    """A faulty exemption is reported with its position."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        parse_exemptions(json.dumps([GOOD, item]))


@pytest.mark.parametrize("text", ["15109;1", "-1", "0", "16GB", "1.5", ",", "9999999999", "15109,"])
def test_wrong_cards(text: str) -> None:
    """A faulty card size is refused with a message."""
    with pytest.raises(ValueError, match=r"^GPU_CARDS: must be the memory of each kind of card"):
        Policy.parse("", "", text, PORTS)
    assert parse_cards("[15109, 8192]") == [8192, 15109]


def test_asked() -> None:
    """A request may name its own cards and GPU profile."""
    policy = Policy(cards=[8192]).asked([24268, 15109], lambda mebibytes: mebibytes * 2)
    found = found_in(record(gpuRequests=24269), policy=policy)
    assert found == [("gpu-exceeds-card", 24269), ("gpu-rounding", 24269)]
    assert Policy(cards=[8192]).asked().cards == [8192]
