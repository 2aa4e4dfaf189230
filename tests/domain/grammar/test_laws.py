"""Laws of all grammars: parsing round-trips, rejections have reasons, and hostile text is fast to parse."""

import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoplatform.domain.errors import Malformed
from algoplatform.domain.grammar.dependencies import Dependencies
from algoplatform.domain.grammar.environment import Environment
from algoplatform.domain.grammar.paths import AbsolutePath, PathList, PathPairs
from algoplatform.domain.grammar.ports import ImagePorts
from algoplatform.domain.grammar.reference import ImageName, ImageReference, ImageTag
from algoplatform.domain.grammar.shell_words import ShellWords
from tests.support import strategies
from tests.support.faults import faults_of

STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {
    ImageName: strategies.image_names(),
    ImageTag: strategies.image_tags(),
    ImageReference: strategies.references(),
    Dependencies: strategies.dependencies(),
    ImagePorts: strategies.image_ports(),
    AbsolutePath: strategies.absolute_paths(),
    PathList: strategies.path_lists(),
    PathPairs: strategies.path_pairs(),
    Environment: strategies.environments(),
    ShellWords: strategies.shell_words(),
}
GRAMMARS = list(STRATEGIES)

LENGTH = 4096
UNITS = [
    *"aA0-_./:,\\'\" 测[，",
    "\\,",
    "a-",
    "a.",
    "a_",
    "a/",
    "a,",
    "/a",
    "/.",
    "/..",
    "/a,",
    "/a:/b,",
    "a:1,",
    "a:1:30000,",
]
MORE_UNITS = ["a.b/", "a:1/", "localhost/a:1,", "localhost:1/a:1,", "a.b/c:1,", "A:b\\,c,", "\\'", "'a' "]
TAILS = ["", "!", "\n", "\\", "'"]
HOSTILE = [unit * (LENGTH // len(unit)) + tail for unit in UNITS + MORE_UNITS for tail in TAILS]


def texts(grammar: Any) -> st.SearchStrategy[str]:
    """Texts close to the grammar: valid ones, some with an insertion, and mixtures of special characters."""
    good = STRATEGIES[grammar].map(str)
    telling = st.text("aA0-_./:,\\'\" \t1é[]", max_size=12)
    spoiled = st.builds(
        lambda text, at, extra: text[: at % (len(text) + 1)] + extra + text[at % (len(text) + 1) :],
        good,
        st.integers(0, 200),
        telling,
    )
    return good | telling | spoiled | st.text(max_size=20)


@pytest.mark.parametrize("grammar", GRAMMARS)
@given(data=st.data())
def test_writing_and_reading_gives_the_same_object(grammar: Any, data: st.DataObject) -> None:
    value = data.draw(STRATEGIES[grammar])
    assert grammar.parse(str(value)) == value


@pytest.mark.parametrize("grammar", GRAMMARS)
@given(data=st.data())
def test_text_is_given_back_as_it_is_or_refused_with_reasons(grammar: Any, data: st.DataObject) -> None:
    text = data.draw(texts(grammar))
    faults = faults_of(grammar.parse, text)
    assert all(faults)
    assert faults or str(grammar.parse(text)) == text


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_an_empty_text_is_refused(grammar: Any) -> None:
    with pytest.raises(Malformed, match=r"^(不能为空|第1项为空)$"):
        grammar.parse("")


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_hostile_text_is_decided_quickly(grammar: Any) -> None:
    for text in HOSTILE:
        assert any(_seconds(grammar.parse, text) < 0.05 for _ in range(5)), (text[:20], text[-5:])


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_no_more_faults_are_worded_than_told(grammar: Any) -> None:
    """At most 20 faults are put into words, plus a note that there are more."""
    assert max(len(faults_of(grammar.parse, text)) for text in HOSTILE) <= 21


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_no_fault_echoes_more_than_a_clipped_item(grammar: Any) -> None:
    for text in HOSTILE:
        assert max(map(len, faults_of(grammar.parse, text)), default=0) < 300


@pytest.mark.parametrize("grammar", GRAMMARS)
@given(data=st.data())
def test_value_objects_are_immutable_and_hashable(grammar: Any, data: st.DataObject) -> None:
    value = data.draw(STRATEGIES[grammar])
    assert not hasattr(value, "__dict__")
    assert hash(value) == hash(grammar.parse(str(value)))
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, None)


def _seconds(parse: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    faults_of(parse, text)
    return time.process_time() - start
