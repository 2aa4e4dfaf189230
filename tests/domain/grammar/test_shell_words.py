"""Shell words split exactly as shlex splits them."""

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from algoplatform.domain.grammar.shell_words import ShellWords
from tests.support.faults import faults_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/home/realtimetest/project/restart.sh", ("/home/realtimetest/project/restart.sh",)),
        ("python main.py --name 'two words'", ("python", "main.py", "--name", "two words")),
        (r'a\ b "c\"d" e"f"', ("a b", 'c"d', "ef")),
        (" a  b ", ("a", "b")),
        ("''", ("",)),
        ("echo $HOME # no comment; ls", ("echo", "$HOME", "#", "no", "comment;", "ls")),
    ],
)
def test_words(text: str, words: tuple[str, ...]) -> None:
    command = ShellWords.parse(text)
    assert command.words == words
    assert str(command) == text


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("   ", ["不能为空"]),
        ("a 'b", ["“a 'b”第3个字符的单引号没有闭合"]),
        ("a 'b' \"c'", ["“a 'b' \"c'”第7个字符的双引号没有闭合"]),
        ('"a\\"', ['“"a\\"”第1个字符的双引号没有闭合']),
        ("a\\", ["“a\\”第2个字符的反斜杠之后没有字符"]),
    ],
)
def test_what_is_wrong(text: str, faults: list[str]) -> None:
    assert faults_of(ShellWords.parse, text) == faults


@given(st.text(st.sampled_from("ab'\"\\ \t\r\n#") | st.characters(exclude_categories=["Cs"]), max_size=20))
@example('"\\')
@example("\\\n")
def test_accepts_what_shlex_splits(text: str) -> None:
    try:
        splits = bool(shlex.split(text))
    except ValueError:
        splits = False
    assert (not faults_of(ShellWords.parse, text)) == splits
