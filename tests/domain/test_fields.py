"""What the types of fields say by themselves, where a record cannot show it."""

import pytest

from algoplatform.domain.errors import Malformed
from algoplatform.domain.fields import check_id, check_integer, check_text, not_unicode


def told(check: object, value: object, **options: object) -> tuple[str, ...]:
    assert callable(check)
    with pytest.raises(Malformed) as caught:
        check(value, **options)
    return caught.value.faults


def test_text_comes_back_as_it_is() -> None:
    """Text is neither copied nor changed."""
    text = "e\u0301\u2028\u200b\ufeff"
    assert check_text(text) is text
    assert check_text("") == ""
    assert check_text("a\tb\nc", multiline=True) == "a\tb\nc"


def test_text_of_a_line_and_of_many() -> None:
    """Tab and newline are the only controls of text with lines, and no others are."""
    for number in [*range(0x20), *range(0x7F, 0xA0)]:
        words = (f"第2个字符是控制字符（U+{number:04X}）",)
        assert told(check_text, f"a{chr(number)}") == words
        if chr(number) not in "\t\n":
            assert told(check_text, f"a{chr(number)}", multiline=True) == words


def test_limit_counts_characters() -> None:
    """The limit is in characters, not in bytes or UTF-16 units."""
    assert check_text("😀" * 5, limit=5)
    assert told(check_text, "😀" * 6, limit=5) == ("长度不能超过5个字符，实际为6个",)


def test_subclasses_are_not_taken_for_json() -> None:
    """Only what JSON gives counts as a string or a number."""

    class Text(str):
        pass

    assert told(check_text, Text("a")) == ("须为字符串",)
    assert told(check_integer, True) == ("须为整数",)
    assert told(check_id, Text("a" * 32)) == ("须为32位小写十六进制字符串",)


def test_names_with_lone_surrogates() -> None:
    """Only lone surrogates are no Unicode; a pair in JSON is one character by now."""
    assert not_unicode(["a", "易", "😀", "\ud800", "x\udfff"]) == ["\ud800", "x\udfff"]
