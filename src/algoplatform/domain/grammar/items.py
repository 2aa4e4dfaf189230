"""What the grammars of comma-separated lists share: how a fault names its item.

A grammar reads valid text with one regular expression. Only text that it refuses is taken apart here, item by item, to
say what is wrong: each fault is a Chinese predicate such as `的名称为空`, put behind the item's position and text. All
are generators, so that a list of very many faults costs no more than the faults that are told.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final

from algoplatform.domain.errors import clip
from algoplatform.domain.faults import Flaw

# Chinese input methods type these where a list needs the half-width character.
_HALF_WIDTH: Final = {"，": ",", "：": ":", "；": ",", "、": ","}
FULL_WIDTH: Final = re.compile("[，：；、]")
# In a path they are characters like any other, unless what follows shows that another path was to begin there.
FULL_WIDTH_BETWEEN_PATHS: Final = re.compile(r"[，：；、](?=\s*(?:[/,:]|\Z))")


def item_faults(
    items: Sequence[str], faults_of: Callable[[str], Iterable[str]], full_width: re.Pattern[str] | None = FULL_WIDTH
) -> Iterator[Flaw]:
    """Word what is wrong with each item by itself; white space around it is a fault, and no part of what is checked.

    An item with full-width separators, where they can be none, is two items or a broken one: nothing else is said of it.
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
    """Word each kind of full-width separator in the text by the half-width character to use."""
    if text.isascii():
        return []
    found = dict.fromkeys(full_width.findall(text))
    return [f"含有全角的“{wide}”，须改用半角的“{_HALF_WIDTH[wide]}”" for wide in found]


def repeat_faults(items: Sequence[str], what: str, key_of: Callable[[str], Hashable]) -> Iterator[Flaw]:
    """Word which items have the key of an earlier one; an empty key is none."""
    first: dict[Hashable, int] = {}
    for position, item in enumerate(items, 1):
        key = key_of(item.strip())
        if key and first.setdefault(key, position) != position:
            yield _flaw(position, item, f"{what}与第{first[key]}项重复")


def _flaw(position: int, item: str, fault: str) -> Flaw:
    return Flaw(f"第{position}项“{clip(item)}”{fault}", position)
