"""Text normalisation and the validation of search conditions."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoplatform.domain.errors import Refused
from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.model import Image
from algoplatform.domain.search import Conditions, check_conditions, fold, fold_exact, grams, search_text
from tests.support.images import minimal
from tests.support.record_fields import code_of

FIELDS = (
    *("searchCondition", "namespace", "algoType", "eventType", "factory", "incidentId", "useableFlag"),
    *("page", "pageSize", "after", "before", "imageId"),
)


def found(**data: Any) -> Conditions:
    return check_conditions(data)


def told(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    with pytest.raises(Refused) as refused:
        check_conditions(data)
    return [(fault.field, fault.code.value, fault.message) for fault in refused.value.faults]


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Algo/X:1.0", "algo/x:1.0"),
        ("a\nB\tc", "a\x1eb\tc"),
        ("STRASSE Straße", "strasse strasse"),
        ("Cafe\u0301", "caf\xe9"),
        ("易华录\nX", "易华录\x1ex"),
        ("\u1e9e", "ss"),
        ("Σς", "σσ"),
        ("\u0345\u0301", fold("\u0301\u0345")),
        ("%_\\", "%_\\"),
        ("", ""),
    ],
)
def test_fold(text: str, folded: str) -> None:
    """Folding ignores case and Unicode composition only, and keeps line breaks distinct from spaces."""
    assert fold(text) == folded


@given(st.text())
def test_fold_is_blind_to_form_and_case(text: str) -> None:
    """NFC and NFD of a text fold alike, folding is idempotent, and folded text has a single line."""
    folded = fold(text)
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text)) == folded
    assert fold(folded) == folded
    assert "\n" not in folded


def test_fold_exact() -> None:
    """Exact filters ignore Unicode composition, but not case."""
    assert [fold_exact(text) for text in (None, "Ab", "Cafe\u0301")] == [None, "Ab", "Caf\xe9"]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a", ["a"]),
        ("帽", ["帽"]),
        ("ab", ["ab"]),
        ("abcde", ["abcd", "bcde"]),
        ("安全帽", ["安全帽"]),
        ("abcd帽", ["abcd", "bcd帽"]),
    ],
)
def test_grams(text: str, pieces: list[str]) -> None:
    """The grams of a text are its substrings of four characters, or the text itself if shorter."""
    assert grams(text) == pieces


@given(st.text(), st.text(), st.text())
def test_grams_of_a_part_stand_in_the_whole(before: str, part: str, after: str) -> None:
    """A text contains every gram of its substrings, so the index misses no match."""
    assert all(piece in before + part + after for piece in grams(part))


def test_search_text() -> None:
    """The search text has one line each for name:tag, factory, algoName and algoDesc (empty if absent)."""

    def of(**fields: Any) -> str:
        image = check(minimal("algo/x", "V1", **fields), Rules()).image
        assert isinstance(image, Image)
        return search_text(image)

    name, *others = of(factory="易Hua", algoName="N", algoDesc="A\nB").split("\n")
    assert (name, others) == ("algo/x:v1", ["易hua", "n", "a\x1eb"])
    assert of(factory="F", algoName="N").split("\n")[1:] == ["f", "n", ""]


def test_nothing_asked() -> None:
    """Absent, null and blank conditions match everything."""
    everything = found()
    for blank in (None, "", " ", "\u3000"):
        assert found(**dict.fromkeys(FIELDS, blank)) == everything
    assert found(colour=None) == everything
    assert everything.page is None


def test_conditions_are_read_as_they_are_sent() -> None:
    """Integers are also accepted as strings of digits, as query parameters are strings."""
    asked = found(
        searchCondition=" %_\\' ",
        namespace="algo",
        algoType="2",
        eventType="3001",
        factory="易",
        incidentId="7",
        useableFlag="1",
        page="2",
        pageSize=1000,
    )
    assert asked.model_dump(by_alias=True, exclude_none=True) == {
        "searchCondition": " %_\\' ",
        "namespace": "algo",
        "algoType": "2",
        "eventType": 3001,
        "factory": "易",
        "incidentId": "7",
        "useableFlag": "1",
        "page": 2,
        "pageSize": 1000,
    }


@pytest.mark.parametrize("field", FIELDS)
def test_wrong_types(field: str) -> None:
    """A condition of the wrong type is rejected with the status of its field."""
    wrong: Any
    for wrong in (True, 1.5, [], {}, "\x00", "\ud800"):
        faults = told({field: wrong})
        assert {(name, code) for name, code, _ in faults} == {(field, code_of(field))}
        assert all(message.startswith(field) for _, _, message in faults)


def test_what_may_not_be_asked() -> None:
    """Page bounds and unknown conditions are checked, and all faults are reported together."""
    page, size = "page须为1至2147483647的整数", "pageSize须为1至1000的整数"
    assert told({"page": 0, "pageSize": 1001}) == [("page", "202", page), ("pageSize", "202", size)]
    assert told({"pageSize": "0"}) == [("pageSize", "202", size)]
    assert told({"page": 2**31}) == [("page", "202", "page须为0至2147483647的整数")]
    assert found(page=2**31 - 1, pageSize=1).page == 2**31 - 1
    shown = "k" * 63 + "…"
    assert told({"k" * 500: "x", "algoType": "9", "imageName": "x", "imageTag": " "}) == [
        ("algoType", "211", "algoType须为0、1、2之一，不能为“9”"),
        (shown, "202", f"{shown}不是已知的查询条件"),
        ("imageName", "202", "imageName不是已知的查询条件"),
    ]
    assert told({"\ud800": 1}) == [("\\ud800", "202", "\\ud800不是已知的查询条件")]
    assert [message for _, _, message in told({"searchCondition": "x" * 256, "factory": "x" * 4097})] == [
        "searchCondition长度不能超过255个字符，实际为256个",
        "factory长度不能超过4096个字符，实际为4097个",
    ]
    assert found(searchCondition="龘" * 255).search_condition == "龘" * 255


def test_many_unknown_conditions_are_told_by_the_first() -> None:
    """At most 200 faults are listed, those of known fields first."""
    faults = told({**{f"k{number}": 1 for number in range(1000)}, "algoType": "9"})
    assert len(faults) == 200
    assert faults[0][0] == "algoType"


def test_ids() -> None:
    """imageId takes one id or up to 1,000 in any order; invalid ids and empty lists are rejected."""
    first, second = "a" * 32, "b" * 32
    assert found(imageId=first).image_id == found(imageId=[first, "", first]).image_id == (first,)
    assert found(imageId=[second, first]).key == found(imageId=[first, second, None]).key
    assert found(imageId=first).key != found(imageId=second).key
    wrong: Any
    for wrong in ([], [""], "x", "A" * 32, [first, 1], {}, True, [f"{number:032x}" for number in range(1001)]):
        assert [(name, code) for name, code, _ in told({"imageId": wrong})] == [("imageId", "202")], wrong
    assert len(found(imageId=[f"{number:032x}" for number in range(1000)]).image_id or ()) == 1000
    assert found(imageId=[""] * 9999 + [first]).image_id == (first,)
    assert told({"imageId": [""] * 10_000 + [first]}) == [("imageId", "202", "imageId须为1至1000个，实际为10001个")]


def test_places() -> None:
    """A page can start after a name:tag or end before one; both, or either with page, are rejected."""
    assert str(found(after="harbor.local:5000/algo/a:1.0", pageSize=5).after) == "harbor.local:5000/algo/a:1.0"
    assert str(found(before="algo/a:1.0").before) == "algo/a:1.0"
    for wrong in ("algo/a", ":", "algo/A:1", 1, ["algo/a:1"]):
        assert {(name, code) for name, code, _ in told({"after": wrong})} == {("after", "202")}
    assert told({"page": 1, "after": "algo/a:1", "before": "algo/a:1"}) == [
        ("after", "202", "after不能与page同时使用"),
        ("before", "202", "before不能与page同时使用"),
    ]
    assert told({"after": "algo/a:1", "before": "algo/b:1"}) == [("before", "202", "before不能与after同时使用")]


def test_line_breaks_are_compared_alike() -> None:
    """CRLF and LF fold alike, to a character that cannot be confused with the separator of texts."""
    assert fold("A\r\nÉ\n") == fold("a\ne\u0301\r\n")
    assert "\n" not in fold("a\r\nb\nc") + fold("é\r\n")
