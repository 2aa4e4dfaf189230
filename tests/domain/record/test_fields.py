"""Field types, tested without a record where a record would hide the detail."""

import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from algoplatform.domain.errors import Malformed
from algoplatform.domain.record.fields import DECOMPOSED_MARKS, check_id, check_integer, check_text, is_blank
from algoplatform.domain.search import fold
from tests.support import record_fields as table
from tests.support.checks import ADVICE, BLANKS, IMAGE_ID, checked, faults
from tests.support.images import minimal


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
    """A text far above the limit is rejected in milliseconds, without examining its characters."""

    def seconds() -> float:
        began = time.thread_time()
        is_blank(text)
        assert told(check_text, text) == (f"长度不能超过4096个字符，实际为{len(text)}个",)
        return time.thread_time() - began

    # Examining the characters takes at least twenty times as long.
    assert min(seconds() for _ in range(20)) < 0.01


@pytest.mark.parametrize("field", table.INTEGERS)
def test_integer_field(field: str) -> None:
    """Integers are accepted as numbers or strings of digits, and stored as numbers."""
    for given_, stored in ((0, 0), (2**31 - 1, 2**31 - 1), ("0", 0), ("0" * 5000 + "7", 7), ("2147483647", 2**31 - 1)):
        value = checked(minimal() | {field: given_}).values()[field]
        assert (value, type(value)) == (stored, int)
    wrong: Any
    for wrong in (True, False, 1.0, 0.5, float("inf"), "1e3", "1.0", " 1", "+1", "-1", "１", "1_0", [], {}, [1]):
        assert faults(minimal() | {field: wrong}) == [(field, "202", f"{field}须为整数")]
    for wrong in (-1, 2**31, 10**400, "2147483648", "10000000000", "9" * 33, "9" * 5000, "0" * 40 + "2147483648"):
        assert faults(minimal() | {field: wrong}) == [(field, "202", f"{field}须为0至2147483647的整数")]


@pytest.mark.parametrize("field", [name for name in table.STRINGS if name not in table.CHOICES])
def test_string_field(field: str) -> None:
    """Strings have no control characters or lone surrogates, and a length limit; all faults are reported."""
    lead = f"{ADVICE}（" if field == "dependencyServiceId" else field
    tail = "）" if field == "dependencyServiceId" else ""
    code = table.code_of(field)

    def told(value: object) -> list[str]:
        found = faults(minimal() | {field: value})
        assert {(name, status) for name, status, _ in found} == {(field, code)}
        return [message.removeprefix(lead).removesuffix(tail) for _, _, message in found]

    for wrong in (1, 1.5, True, False, [], {}, ["a"], {"a": "b"}):
        assert told(wrong) == ["须为字符串"]
    for control in "\x00\x01\x08\x0b\x0c\r\x1b\x1f\x7f\x80\x9f" + ("" if field == "algoDesc" else "\t\n"):
        assert told(f"/a{control}b") == [f"第3个字符是控制字符（U+{ord(control):04X}）"]
    assert told("/\ud800") == told("/\udfff") == ["第2个字符不是合法的Unicode字符"]
    limit = {"imageName": 255, "imageTag": 128}.get(field, 4096)
    assert told("\ud83d" + "\x07" * limit) == [
        f"长度不能超过{limit}个字符，实际为{limit + 1}个",
        "第2个字符是控制字符（U+0007）",
        "第1个字符不是合法的Unicode字符",
    ]


@pytest.mark.parametrize("field", ["factory", "algoName", "algoDesc", "incidentId"])
def test_free_text_is_stored_as_sent(field: str) -> None:
    """Text of up to 4,096 characters is stored without trimming, normalisation or escaping."""
    for text in (" e\u0301 ", "\u3000易华录\u2028", "𠀀😀", '"\\/<&>%', "x" * 4096):
        assert checked(minimal() | {field: text}).values()[field] == text


def test_description_may_hold_tabs_and_newlines() -> None:
    """algoDesc may contain tabs, LF and CRLF, but no lone CR."""
    for text in ("a\tb\nc", "a\r\nb\r\n\r\nc", "\r\n a"):
        assert checked(minimal(algoDesc=text)).values()["algoDesc"] == text
    for text, place in (("a\rb", 2), ("a\r\r\nb", 2), ("a\n\rb", 3), ("a\r", 2)):
        assert faults(minimal(algoDesc=text)) == [("algoDesc", "202", f"algoDesc第{place}个字符是控制字符（U+000D）")]


@pytest.mark.parametrize(
    ("field", "allowed", "words"),
    [("algoType", "012", "0、1、2之一"), ("useableFlag", "01", "0、1之一"), ("deleteFlag", "0", "0")],
)
def test_choices(field: str, allowed: str, words: str) -> None:
    """A choice accepts only the listed strings; the fault echoes a wrong string."""
    code = table.code_of(field)
    wrong: Any
    for value in allowed:
        assert checked(minimal(frameInterval=1, frameNumber=1) | {field: value}).values()[field] == value
    for wrong in ("3", "00", " 0", "０", "x" * 65):
        shown = wrong if len(wrong) < 65 else "x" * 63 + "…"
        assert faults(minimal() | {field: wrong}) == [(field, code, f"{field}须为{words}，不能为“{shown}”")]
    for wrong in (0, 1, True, 0.0, [], {}):
        assert faults(minimal() | {field: wrong}) == [(field, code, f"{field}须为{words}（字符串）")]


@pytest.mark.parametrize(
    "wrong", ["1", IMAGE_ID.upper(), IMAGE_ID + "0", IMAGE_ID[:-1] + "g", IMAGE_ID + "\n", 7, True, []]
)
def test_image_id(wrong: object) -> None:
    """An imageId has exactly 32 lower-case hexadecimal digits."""
    assert faults(minimal(imageId=wrong)) == [("imageId", "202", "imageId须为32位小写十六进制字符串")]


def test_blank() -> None:
    """Null and strings of white space are blank; other falsy values are not."""
    assert all(map(is_blank, BLANKS))
    assert not any(map(is_blank, [0, False, [], {}, "0", "\u200b"]))


@pytest.mark.parametrize("field", table.ALL)
def test_separators_are_not_blank(field: str) -> None:
    """U+001C to U+001F are rejected as control characters, though Python counts them as white space."""
    for wrong in ("\x1c", "\x1d\x1e", " \x1f", "\x1f\n"):
        assert not is_blank(wrong)
        assert {(name, code) for name, code, _ in faults(minimal() | {field: wrong})} == {(field, table.code_of(field))}
    assert faults(minimal(algoDesc=" \x1f")) == [("algoDesc", "202", "algoDesc第2个字符是控制字符（U+001F）")]
    assert faults(minimal(factory="\x1c")) == [("factory", "202", "factory第1个字符是控制字符（U+001C）")]
