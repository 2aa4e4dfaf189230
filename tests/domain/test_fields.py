"""Field types, tested without a record where a record would hide the detail."""

import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress

import pytest

from algoplatform.domain.errors import Malformed
from algoplatform.domain.record.fields import DECOMPOSED_MARKS, check_id, check_integer, check_text
from algoplatform.domain.record.image import is_blank
from algoplatform.domain.search import fold


def told(check: object, value: object, **options: object) -> tuple[str, ...]:
    assert callable(check)
    with pytest.raises(Malformed) as caught:
        check(value, **options)
    return caught.value.faults


def test_text_comes_back_as_it_is() -> None:
    """Valid text is returned as the same object."""
    text = "e\u0301\u2028\u200b\ufeff"
    assert check_text(text) is text
    assert check_text("") == ""
    assert check_text("a\tb\nc", multiline=True) == "a\tb\nc"


def test_text_of_a_line_and_of_many() -> None:
    """Multiline text may contain tab, LF and CRLF, but no other control characters; other text none."""
    assert check_text("a\r\nb\tc\r\n", multiline=True) == "a\r\nb\tc\r\n"
    for number in [*range(0x20), *range(0x7F, 0xA0)]:
        words = (f"第2个字符是控制字符（U+{number:04X}）",)
        assert told(check_text, f"a{chr(number)}") == words
        if chr(number) not in "\t\n":  # "\r" is allowed only before "\n"
            assert told(check_text, f"a{chr(number)}", multiline=True) == words


@pytest.mark.parametrize("mark", ["\u0301", "\u0344", "\u0f73", "\u0f75", "\u0f81", "\u0e48", "\U0001e130"])
def test_combining_marks_in_a_row(mark: str) -> None:
    """Runs of up to 30 combining marks are valid and longer ones are not, at any position."""
    for before in range(40):
        text = "文" * before + mark * 30 + "a"
        assert check_text(text + mark * 30 + "字") == text + mark * 30 + "字"
        words = (f"从第{before + 1}个字符起，连续的组合字符超过30个",)
        for count in (31, 32, 62, 100):
            assert told(check_text, "文" * before + mark * count + "a") == words
            assert told(check_text, "文" * before + mark * count) == words


def test_marks_by_what_they_decompose_to() -> None:
    """DECOMPOSED_MARKS lists all characters of combining class 0 that decompose into combining marks."""
    found = [
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if not unicodedata.combining(character)
        and all(map(unicodedata.combining, unicodedata.normalize("NFD", character)))
    ]
    assert "".join(found) == DECOMPOSED_MARKS


def test_what_passes_is_normalised_quickly(cost: Callable[[Callable[[], object]], float]) -> None:
    """No mixture of combining marks takes 50 ms or more to reject, or to accept and fold."""
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
    """The limit counts characters, not bytes or UTF-16 code units."""
    assert check_text("😀" * 5, limit=5)
    assert told(check_text, "😀" * 6, limit=5) == ("长度不能超过5个字符，实际为6个",)


def test_subclasses_are_not_taken_for_json() -> None:
    """Subclasses of str and int are rejected, as JSON parsing never produces them."""

    class Text(str):
        pass

    assert told(check_text, Text("a")) == ("须为字符串",)
    assert told(check_integer, True) == ("须为整数",)
    assert told(check_id, Text("a" * 32)) == ("须为32位小写十六进制字符串",)


@pytest.mark.parametrize("text", [" " * 2**20, "x" * 2**20 + "\u200b", ("a" + "\u0344" * 30) * 2**15])
def test_a_long_text_is_not_looked_through(text: str) -> None:
    """What is far too long is told to be so in milliseconds, whatever its characters are."""

    def seconds() -> float:
        began = time.thread_time()
        is_blank(text)
        assert told(check_text, text) == (f"长度不能超过4096个字符，实际为{len(text)}个",)
        return time.thread_time() - began

    # Looking through it takes at least twenty times as long.
    assert min(seconds() for _ in range(20)) < 0.01
