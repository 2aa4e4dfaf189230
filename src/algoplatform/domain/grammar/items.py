"""Shared by the grammars of comma-separated lists: the faults of single items.

A grammar parses valid text with one regular expression. Only invalid text is split here and checked item by
item: each fault is a Chinese predicate such as `的名称为空`, appended to the item's position and text. All
functions are generators, so that only the faults that are reported cost time.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final

from algoplatform.domain.errors import clip
from algoplatform.domain.faults import Flaw

# Chinese input methods produce these where a list needs the half-width character.
_HALF_WIDTH: Final = {"，": ",", "：": ":", "；": ",", "、": ","}
FULL_WIDTH: Final = re.compile("[，：；、]")
# In a path they are ordinary characters, unless the next character shows that a separator was meant.
FULL_WIDTH_BETWEEN_PATHS: Final = re.compile(r"[，：；、](?=\s*(?:[/,:]|\Z))")


def item_faults(
    items: Sequence[str], faults_of: Callable[[str], Iterable[str]], full_width: re.Pattern[str] | None = FULL_WIDTH
) -> Iterator[Flaw]:
    """Yield the faults of each item; surrounding white space is a fault, and is stripped before other checks.

    Misplaced full-width separators are the only faults reported of an item: it is unclear where it ends.
    """
    for position, item in enumerate(items, 1):
        bare = item.strip()
        if not bare:
            yield Flaw(f"第{position}项为空", position)
            continue
        if bare != item:
            yield _flaw(position, item, "首尾不能有空白字符")
        mistyped = full_width_faults(bare, full_width) if full_width else []
        for fault in mistyped or faults_of(bare):
            yield _flaw(position, item, fault)


def full_width_faults(text: str, full_width: re.Pattern[str]) -> list[str]:
    """Return a fault for each kind of full-width separator, with the half-width character to use instead."""
    if text.isascii():
        return []
    found = dict.fromkeys(full_width.findall(text))
    return [f"含有全角的“{wide}”，须改用半角的“{_HALF_WIDTH[wide]}”" for wide in found]


def repeat_faults(items: Sequence[str], what: str, key_of: Callable[[str], Hashable]) -> Iterator[Flaw]:
    """Yield a fault for each item that repeats the key of an earlier one; ignores empty keys."""
    first: dict[Hashable, int] = {}
    for position, item in enumerate(items, 1):
        key = key_of(item.strip())
        if key and first.setdefault(key, position) != position:
            yield _flaw(position, item, f"{what}与第{first[key]}项重复")


def _flaw(position: int, item: str, fault: str) -> Flaw:
    return Flaw(f"第{position}项“{clip(item)}”{fault}", position)
