"""The list that five grammars share: recognised as a whole, or explained item by item."""

import re
from collections.abc import Iterator

import pytest

from algoplatform.domain.errors import Malformed
from algoplatform.domain.faults import Flaw
from algoplatform.domain.grammar.items import Key, ListGrammar, full_width_faults, malformed
from tests.support.faults import faults_of


def explained(item: str) -> Iterator[str]:
    yield "须为小于5的数字"


def number(item: str) -> int | None:
    return int(item) if int(item) < 5 else None


NUMBERS = ListGrammar("[0-9]", number, explained, Key("的值", str))


def test_items_are_built_in_their_order() -> None:
    assert NUMBERS.parse("3,0,4") == (3, 0, 4)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("1,7", ["第2项“7”须为小于5的数字"]),
        ("x", ["第1项“x”须为小于5的数字"]),
        ("1,,2", ["第2项为空"]),
        ("1,2，3", ["第2项“2，3”含有全角的“，”，须改用半角的“,”"]),
        ("1,2,1,2", ["第3项“1”的值与第1项重复", "第4项“2”的值与第2项重复"]),
    ],
)
def test_what_is_wrong(text: str, faults: list[str]) -> None:
    """An item out of range gets its own message, even if it is well formed."""
    assert set(faults) <= set(faults_of(NUMBERS.parse, text))


def test_positions() -> None:
    with pytest.raises(Malformed) as refused:
        NUMBERS.parse("1,1")
    assert Flaw("第2项“1”的值与第1项重复", 2) in refused.value.flaws


def test_each_kind_of_full_width_separator_is_told_once() -> None:
    assert full_width_faults("a，b，c：d", re.compile("[，：]")) == [
        "含有全角的“，”，须改用半角的“,”",
        "含有全角的“：”，须改用半角的“:”",
    ]


def test_a_text_that_is_no_list_is_named_in_its_faults() -> None:
    assert malformed("x", ["为空", "过长"]).faults == ("“x”为空", "“x”过长")
    assert malformed("", ["不能为空"]).faults == ("不能为空",)
