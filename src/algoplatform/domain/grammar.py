"""What the grammars of comma-separated lists share: how a fault names its item.

A grammar reads valid text with one regular expression. Only text that it refuses is taken apart here, item by item, to
say what is wrong: each fault is a Chinese predicate such as `的名称为空`, put behind the item's position and text.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from algoplatform.domain.errors import clip


def item_faults(items: Sequence[str], faults_of: Callable[[str], Iterable[str]]) -> Iterator[str]:
    """Word what is wrong with each item by itself; white space around it is a fault, and no part of what is checked."""
    for position, item in enumerate(items, 1):
        bare = item.strip()
        if not bare:
            yield f"第{position}项为空"
            continue
        subject = _subject(position, item)
        if bare != item:
            yield f"{subject}首尾不能有空白字符"
        for fault in faults_of(bare):
            yield subject + fault


def repeat_faults(items: Sequence[str], what: str, key_of: Callable[[str], Hashable]) -> Iterator[str]:
    """Word which items have the key of an earlier one; an empty key is none."""
    first: dict[Hashable, int] = {}
    for position, item in enumerate(items, 1):
        key = key_of(item.strip())
        if key and first.setdefault(key, position) != position:
            yield f"{_subject(position, item)}{what}与第{first[key]}项重复"


def _subject(position: int, item: str) -> str:
    return f"第{position}项“{clip(item)}”"
