"""What the types of fields say by themselves, where a record cannot show it."""

import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress

import pytest

from algoplatform.domain.errors import Malformed
from algoplatform.domain.record.fields import DECOMPOSED_MARKS, check_id, check_integer, check_text
from algoplatform.domain.search import fold


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
    """Tab and newline are the only controls of text with lines, and no others are; a carriage return is part of a newline."""
    assert check_text("a\r\nb\tc\r\n", multiline=True) == "a\r\nb\tc\r\n"
    for number in [*range(0x20), *range(0x7F, 0xA0)]:
        words = (f"第2个字符是控制字符（U+{number:04X}）",)
        assert told(check_text, f"a{chr(number)}") == words
        if chr(number) not in "\t\n":  # "\r" too is one where no "\n" is behind it
            assert told(check_text, f"a{chr(number)}", multiline=True) == words


@pytest.mark.parametrize("mark", ["\u0301", "\u0344", "\u0f73", "\u0f75", "\u0f81", "\u0e48", "\U0001e130"])
def test_combining_marks_in_a_row(mark: str) -> None:
    """Thirty in a row are text, more are not, wherever they stand and however many there are."""
    for before in range(40):
        text = "文" * before + mark * 30 + "a"
        assert check_text(text + mark * 30 + "字") == text + mark * 30 + "字"
        words = (f"从第{before + 1}个字符起，连续的组合字符超过30个",)
        for count in (31, 32, 62, 100):
            assert told(check_text, "文" * before + mark * count + "a") == words
            assert told(check_text, "文" * before + mark * count) == words


def test_marks_by_what_they_decompose_to() -> None:
    """Those of class 0 that are told apart here are all that Unicode has."""
    found = [
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if not unicodedata.combining(character)
        and all(map(unicodedata.combining, unicodedata.normalize("NFD", character)))
    ]
    assert "".join(found) == DECOMPOSED_MARKS


def test_what_passes_is_normalised_quickly(cost: Callable[[Callable[[], object]], float]) -> None:
    """However marks are mixed: what is refused is refused quickly, and what passes is folded quickly."""
    for unit in (
        "\u0344" * 16 + "\u0f73" * 15,
        "\u0344" * 15 + "\u0f73" * 15 + "a",
        "\u0301",
        "\u0f73\u0344",
        "ก็",
        "ế",
    ):
        text = unit * (4096 // len(unit))

        def read(text: str = text) -> None:
            with suppress(Malformed):
                fold(check_text(text))

        assert cost(read) < 0.05, ascii(unit[:2])


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
