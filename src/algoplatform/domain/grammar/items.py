"""The comma-separated list, which five of the grammars share.

    list            = item {"," item}                             (* each key once *)

One regular expression recognises valid text. Only invalid text is checked item by item: each fault is a
Chinese predicate such as `的名称为空`, appended to the item's position and text. Faults come from generators, so
that faults beyond those reported cost no time.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

from algoplatform.domain.errors import Malformed, clip
from algoplatform.domain.faults import Flaw

# Chinese input methods produce these where a list needs the half-width character.
_HALF_WIDTH: Final = {"，": ",", "：": ":", "；": ",", "、": ","}
FULL_WIDTH: Final = re.compile("[，：；、]")
# In a path they are ordinary characters, unless the next character shows that a separator was meant.
FULL_WIDTH_BETWEEN_PATHS: Final = re.compile(r"[，：；、](?=\s*(?:[/,:]|\Z))")
COMMA: Final = re.compile(",")
SPACE_AROUND: Final = "首尾不能有空白字符"
EMPTY: Final = "不能为空"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key:
    """A part of an item, such as its name, that no other item may repeat: its label, and how to extract it."""

    what: str
    of: Callable[[str], str]


class ListGrammar(Generic[T]):
    """A list whose items match `item`, a regular expression that is linear in the length of any text.

    `build` makes an item of its text, or returns None for a number out of range, which the expression cannot
    check. `faults_of` explains an invalid item. `full_width` finds misplaced full-width separators; None if they
    are ordinary characters.
    """

    def __init__(
        self,
        item: str,
        build: Callable[[str], T | None],
        faults_of: Callable[[str], Iterable[str]],
        *keys: Key,
        separator: re.Pattern[str] = COMMA,
        full_width: re.Pattern[str] | None = FULL_WIDTH,
    ) -> None:
        # Atomic: an item may match in two ways, so hostile text would cause exponential backtracking.
        self._list = re.compile(f"(?>{item})(?:,(?>{item}))*")
        self._build = build
        self._faults_of = faults_of
        self._keys = keys
        self._separator = separator
        self._full_width = full_width

    def parse(self, text: str) -> tuple[T, ...]:
        """Parse a list; raises Malformed."""
        items = self._separator.split(text)
        if self._list.fullmatch(text) and not self._is_mistyped(text):
            built = [item for item in map(self._build, items) if item is not None]
            if len(built) == len(items) and not self._has_repeats(items):
                return tuple(built)
        raise Malformed.first(chain(self._item_flaws(items), self._repeats(items)))

    def _is_mistyped(self, text: str) -> bool:
        return not text.isascii() and self._full_width is not None and self._full_width.search(text) is not None

    def _has_repeats(self, items: Sequence[str]) -> bool:
        for key in self._keys:
            own = list(filter(None, map(key.of, items)))
            if len(set(own)) < len(own):
                return True
        return False

    def _repeats(self, items: Sequence[str]) -> Iterator[Flaw]:
        """Yield a flaw for each item that repeats the key of an earlier one; ignores empty keys."""
        for key in self._keys:
            first: dict[str, int] = {}
            for position, item in enumerate(items, 1):
                own = key.of(item.strip())
                if own and first.setdefault(own, position) != position:
                    yield _flaw(position, item, f"{key.what}与第{first[own]}项重复")

    def _item_flaws(self, items: Sequence[str]) -> Iterator[Flaw]:
        """Yield the flaws of each item; surrounding white space is a flaw, and is stripped before other checks.

        If an item has misplaced full-width separators, no other checks apply, as it is unclear where it ends.
        """
        for position, item in enumerate(items, 1):
            bare = item.strip()
            if not bare:
                yield Flaw(f"第{position}项为空", position)
                continue
            if bare != item:
                yield _flaw(position, item, SPACE_AROUND)
            mistyped = full_width_faults(bare, self._full_width) if self._full_width else []
            for fault in mistyped or self._faults_of(bare):
                yield _flaw(position, item, fault)


@dataclass(frozen=True, slots=True)
class Items(Generic[T]):
    """A parsed list."""

    items: tuple[T, ...]
    grammar: ClassVar[ListGrammar[Any]]

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(cls.grammar.parse(text))

    def __str__(self) -> str:
        return ",".join(map(str, self.items))


@dataclass(frozen=True, slots=True)
class Text:
    """A valid text, as it was sent."""

    text: str

    def __str__(self) -> str:
        return self.text


def before_colon(item: str) -> str:
    return item.partition(":")[0]


def full_width_faults(text: str, full_width: re.Pattern[str]) -> list[str]:
    """Return a fault for each kind of full-width separator, with the half-width character to use instead."""
    if text.isascii():
        return []
    found = dict.fromkeys(full_width.findall(text))
    return [f"含有全角的“{wide}”，须改用半角的“{_HALF_WIDTH[wide]}”" for wide in found]


def malformed(text: str, faults: Iterable[str]) -> Malformed:
    """Build the error of a text that is not a list; each fault is appended to the text unless that is empty."""
    subject = f"“{clip(text)}”" if text else ""
    return Malformed.first(subject + fault for fault in faults)


def _flaw(position: int, item: str, fault: str) -> Flaw:
    return Flaw(f"第{position}项“{clip(item)}”{fault}", position)
