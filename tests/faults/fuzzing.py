"""Cases for the parsers: what Hypothesis makes up, and what is left of it after it has been cut, repeated and spoiled.

Everything here runs in processes of its own, each with a seed and a share of the cases.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from algoplatform.domain.errors import BadRequest, Malformed
from algoplatform.domain.grammar.dependencies import Dependencies
from algoplatform.domain.grammar.environment import Environment
from algoplatform.domain.grammar.paths import AbsolutePath, PathList, PathPairs
from algoplatform.domain.grammar.ports import NODE_PORTS, ImagePorts
from algoplatform.domain.grammar.reference import ImageName, ImageReference, ImageTag
from algoplatform.domain.grammar.shell_words import ShellWords
from algoplatform.domain.record.file import read_records
from algoplatform.domain.record.image import RECORD_FIELDS, Rules, check
from algoplatform.domain.record.json import parse_json
from tests.support import strategies

# Seconds of processor time that one case may take; texts are as long as a record's field at most.
BOUND: Final = 0.25
_LONGEST: Final = 4096
_SAMPLES: Final = 2000
_TELLING: Final[list[str]] = [
    *"aA0-_./:,\\'\"[]{} \t\n\0é测\ud800\ufeff",
    "..",
    "\\,",
    "a/",
    "/a:",
    "a:1,",
    "localhost/",
    "null",
    "1e999",
    '{"',
]
_RULES: Final = Rules(NODE_PORTS)

Parse = Callable[[str], bool]


@dataclass
class Outcome:
    """What came of a share of the cases."""

    cases: int = 0
    accepted: int = 0
    slowest: float = 0
    wrong: str = ""


def _grammar(kind: Any, text: str) -> bool:
    try:
        value = kind.parse(text)
    except Malformed as error:
        assert error.faults
        assert all(error.faults)
        return False
    assert str(value) == text
    assert kind.parse(str(value)) == value
    return True


def _json(text: str) -> bool:
    try:
        value = parse_json(text.encode("utf-8", "surrogatepass"))
    except BadRequest:
        return False
    assert value == json.loads(text.removeprefix("\ufeff"))
    return True


def _record(text: str) -> bool:
    """Put the text into every field at once: faults are given, never raised."""
    checked = check(dict.fromkeys(RECORD_FIELDS, text), _RULES)
    assert checked.faults
    return False


def _file(text: str) -> bool:
    """Read the text cut at different places: the records, or the refusal, are the same."""
    data = text.encode("utf-8", "surrogatepass")
    whole, pieces = _records(data, len(data) + 1), _records(data, 1 + len(data) % 7)
    assert (whole is None) == (pieces is None)
    assert whole == pieces
    if whole is None:
        return False
    for _, record in whole:
        check(record, _RULES)
    if text.lstrip("\ufeff \t\r\n").startswith("["):
        assert [record for _, record in whole] == json.loads(text.removeprefix("\ufeff"))
    return True


def _records(data: bytes, size: int) -> list[tuple[str | None, Any]] | None:
    chunks = (data[at : at + size] for at in range(0, len(data), size))
    try:
        return list(read_records(chunks))
    except BadRequest:
        return None


def _files() -> SearchStrategy[str]:
    scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=10)
    record = st.dictionaries(st.sampled_from(RECORD_FIELDS) | st.text(max_size=5), scalars, max_size=4)
    keyed = st.dictionaries(st.uuids().map(lambda found: found.hex), record, max_size=3)
    envelope = keyed.map(lambda res: {"status": "0", "res": res, "msg": "镜像下载成功"})
    compact = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))
    return (st.lists(record, max_size=3) | keyed | envelope).flatmap(
        lambda content: st.sampled_from([compact(content), json.dumps(content, indent=1), json.dumps(content)])
    )


TARGETS: Final[dict[str, tuple[Parse, Callable[[], SearchStrategy[str]]]]] = {
    **{
        kind.__name__: (partial(_grammar, kind), partial(made().map, str))
        for kind, made in (
            (ImageName, strategies.image_names),
            (ImageTag, strategies.image_tags),
            (ImageReference, strategies.references),
            (Dependencies, strategies.dependencies),
            (ImagePorts, strategies.image_ports),
            (AbsolutePath, strategies.absolute_paths),
            (PathList, strategies.path_lists),
            (PathPairs, strategies.path_pairs),
            (Environment, strategies.environments),
            (ShellWords, strategies.shell_words),
        )
    },
    "a record's fields": (_record, partial(st.text, max_size=40)),
    "JSON": (_json, _files),
    "uploaded file": (_file, _files),
}


def run(target: str, number: int, cases: int) -> Outcome:
    """Try a share: one case in twenty is Hypothesis's own, the others are made of those."""
    parse, texts = TARGETS[target]
    outcome, samples = Outcome(), list[str]()
    try:
        _run_hypothesis(texts(), number, max(50, cases // 20), lambda text: _sampled(samples, text, parse, outcome))
        for text in _mutations(samples, random.Random(number), max(0, cases - outcome.cases)):
            _try(parse, text, outcome)
    except Exception as error:
        outcome.wrong = f"{target}: {type(error).__name__}: {error}"
    return outcome


def _run_hypothesis(texts: SearchStrategy[str], number: int, cases: int, action: Callable[[str], None]) -> None:
    near = texts | texts.flatmap(lambda text: st.text(max_size=6).map(lambda more: text + more)) | st.text(max_size=30)

    @seed(number)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(near)
    def each(text: str) -> None:
        action(text)

    each()


def _sampled(samples: list[str], text: str, parse: Parse, outcome: Outcome) -> None:
    if len(samples) < _SAMPLES:
        samples.append(text)
    _try(parse, text, outcome)


def _try(parse: Parse, text: str, outcome: Outcome) -> None:
    outcome.cases += 1
    try:
        seconds, accepted = _timed(parse, text)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}: {text[:200]!r}") from error
    if seconds > BOUND / 10:
        # Another look: the garbage collector may have come in between.
        seconds = min(seconds, *(_timed(parse, text)[0] for _ in range(4)))
        assert seconds <= BOUND, f"{seconds:.3f} s: {text[:200]!r}"
    outcome.accepted += accepted
    outcome.slowest = max(outcome.slowest, seconds)


def _timed(parse: Parse, text: str) -> tuple[float, bool]:
    began = time.thread_time()
    accepted = parse(text)
    return time.thread_time() - began, accepted


def _mutations(samples: list[str], chance: random.Random, cases: int) -> Iterator[str]:
    for _ in range(cases):
        text = chance.choice(samples)
        for _ in range(chance.randint(1, 3)):
            text = chance.choice(_WAYS)(text, samples, chance)
        yield text[:_LONGEST]


def _place(text: str, chance: random.Random) -> tuple[int, int]:
    first, second = chance.randint(0, len(text)), chance.randint(0, len(text))
    return min(first, second), max(first, second)


def _cut(text: str, samples: list[str], chance: random.Random) -> str:
    start, end = _place(text, chance)
    return text[:start] + text[end:]


def _insert(text: str, samples: list[str], chance: random.Random) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + chance.choice(_TELLING) + text[at:]


def _replace(text: str, samples: list[str], chance: random.Random) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + chance.choice(_TELLING) + text[at + 1 :]


def _splice(text: str, samples: list[str], chance: random.Random) -> str:
    other = chance.choice(samples)
    return text[: chance.randint(0, len(text))] + other[chance.randint(0, len(other)) :]


def _join(text: str, samples: list[str], chance: random.Random) -> str:
    return text + chance.choice(",:/ ") + chance.choice(samples)


def _repeat(text: str, samples: list[str], chance: random.Random) -> str:
    start, end = _place(text, chance)
    # Mostly a little; now and then as much as fits, which is where a regular expression would lose its way.
    times = chance.randint(2, 4) if chance.random() < 0.98 else _LONGEST // max(1, end - start)
    return text[:start] + text[start:end] * times + text[end:]


def _swap_case(text: str, samples: list[str], chance: random.Random) -> str:
    return text.swapcase()


_WAYS: Final = (_cut, _insert, _insert, _replace, _splice, _join, _repeat, _swap_case)
