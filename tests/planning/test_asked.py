"""Parameters of lint: severities, rules, pages, conditions; all faults are reported at once."""

from typing import Any

import pytest

from algoplatform.domain.errors import Refused
from algoplatform.planning.lint.asked import Asked, check_asked
from tests.support.linting import record, run

FAULTY = [record("h:1/a/x", "latest", tvChannel=0), record("h:1/a/y", "latest", imagePorts="a:80:32000")]


def test_nothing_asked() -> None:
    """Without parameters all findings are returned; blank parameters count as absent."""
    assert check_asked({}) == check_asked({"severity": "", "rule": None, "page": " "})
    assert check_asked({}).end is None


@pytest.mark.parametrize(
    ("asked", "rules"),
    [
        ({"severity": "warning"}, ["tag-latest", "channels-unknown", "tag-latest"]),
        ({"severity": "info, error"}, ["node-port-dynamic"]),
        ({"rule": "channels-unknown,node-port-dynamic"}, ["channels-unknown", "node-port-dynamic"]),
        ({"rule": "tag-latest", "severity": "info"}, []),
    ],
)
def test_filters(asked: dict[str, Any], rules: list[str]) -> None:
    """Only findings of the given severities and rules are returned and counted."""
    found, linter = run(FAULTY, **asked)
    assert [item.flaw.rule for item in found] == rules
    assert sorted(linter.counts.elements()) == sorted(rules)
    assert linter.total == len(rules)


def test_pages() -> None:
    """The pages together hold each finding once; counts and total cover all pages."""
    everything, _ = run(FAULTY)
    pages = [run(FAULTY, page=page, pageSize=3) for page in (1, 2, 3)]
    assert [len(found) for found, _ in pages] == [3, 1, 0]
    assert pages[0][0] + pages[1][0] == everything
    assert all(linter.total == 4 and linter.counts["tag-latest"] == 2 for _, linter in pages)
    assert (check_asked({"page": "2"}).first, check_asked({"page": 2}).end) == (50, 100)
    assert (check_asked({"pageSize": 7}).first, check_asked({"pageSize": 7}).end) == (0, 7)


def test_conditions() -> None:
    """The conditions of a search are parsed as in a search."""
    asked = check_asked({"namespace": "algo", "algoType": "0", "rule": "tag-latest"})
    assert (asked.conditions.namespace, asked.conditions.algo_type) == ("algo", "0")
    assert isinstance(asked, Asked)


def test_all_faults_at_once() -> None:
    """All faults are reported together, by field; `after`, the cursor of a search, is an unknown parameter here."""
    with pytest.raises(Refused) as caught:
        check_asked(
            {
                **{"severity": "fatal,error", "rule": "nope,tag-latest", "page": "0", "pageSize": 1001},
                **{"algoType": "7", "colour": "red", "after": "a:1", "": "x"},
            }
        )
    fields = [fault.field for fault in caught.value.faults]
    assert fields == ["severity", "rule", "page", "pageSize", "after", "algoType", "colour", "“”"]
    assert "severity中没有“fatal”，须为error、warning、info" in caught.value.message


def test_over_a_file() -> None:
    """Conditions on images are refused for a file."""
    assert check_asked({"rule": "tag-latest"}, conditions=False).rules == frozenset({"tag-latest"})
    with pytest.raises(Refused, match="namespace不是已知的查询条件"):
        check_asked({"namespace": "algo"}, conditions=False)


def test_wrong_type() -> None:
    """A JSON value of another type is refused."""
    with pytest.raises(Refused, match="rule须为字符串"):
        check_asked({"rule": ["tag-latest"]})
