r"""Paths on a node or in a container.

    absolute        = "/" [segment] {"/" [segment]}               (* does not end in white space *)
    segment         = any characters but "/", and not ".."
    list            = item {"," item}                             (* each path once *)
    pairs           = pair {"," pair}                             (* each target once *)
    pair            = item ":" item                               (* source, target *)
    item            = an absolute path without "," and ":"

"，", "：", "；" and "、" may occur in a path, but not where a separator could stand: before "/", ",", ":" or the
end. A single path (workingDir) may contain "," and ":", as it is not part of a list. Paths are stored as
sent, but compared without "." segments and redundant slashes: `/data` and `/data/` are equal. Control
characters never reach this grammar: every text of a record is checked for them first.

Source: POSIX pathnames, without `..`; mounted paths also without ":", which Kubernetes rejects in mountPath.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from posixpath import normpath
from typing import Self

from algoplatform.domain.errors import Malformed, clip
from algoplatform.domain.faults import Flaw
from algoplatform.domain.grammar.items import FULL_WIDTH_BETWEEN_PATHS, full_width_faults, item_faults, repeat_faults

_ITEM = r"(?:/(?!\.\.(?:[/,:]|\Z))[^/,:]*+)+(?<!\s)"
_PAIR = f"{_ITEM}:{_ITEM}"
_PATH_RE = re.compile(r"(?:/(?!\.\.(?:/|\Z))[^/]*+)+(?<!\s)")
_LIST_RE = re.compile(f"(?>{_ITEM})(?:,(?>{_ITEM}))*")
_PAIRS_RE = re.compile(f"(?>{_PAIR})(?:,(?>{_PAIR}))*")


@dataclass(frozen=True, slots=True)
class AbsolutePath:
    """One absolute path: `/home`."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a single path; raises Malformed."""
        mistyped = full_width_faults(text, FULL_WIDTH_BETWEEN_PATHS)
        if _PATH_RE.fullmatch(text) and not mistyped:
            return cls(text)
        subject = f"“{clip(text)}”" if text else ""
        raise Malformed(*(subject + fault for fault in mistyped or _path_faults(text)))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class PathList:
    """Absolute paths: `/vse/logs,/data/videos`."""

    items: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse comma-separated paths; raises Malformed."""
        items = text.split(",")
        if (
            _LIST_RE.fullmatch(text)
            and len(set(map(_canonical, items))) == len(items)
            and not full_width_faults(text, FULL_WIDTH_BETWEEN_PATHS)
        ):
            return cls(tuple(items))
        raise Malformed.first(_list_faults(items, _single_faults, "", _canonical))

    def __str__(self) -> str:
        return ",".join(self.items)


@dataclass(frozen=True, slots=True)
class PathPair:
    """A source path and its mount target."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source}:{self.target}"


@dataclass(frozen=True, slots=True)
class PathPairs:
    """Source paths and their mount targets: `/home:/home,/data:/srv/data`."""

    items: tuple[PathPair, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse comma-separated `source:target` pairs; raises Malformed."""
        items = text.split(",")
        if _PAIRS_RE.fullmatch(text) and not full_width_faults(text, FULL_WIDTH_BETWEEN_PATHS):
            pairs = [PathPair(*item.split(":")) for item in items]
            if len({_canonical(pair.target) for pair in pairs}) == len(pairs):
                return cls(tuple(pairs))
        raise Malformed.first(_list_faults(items, _pair_faults, "的目标路径", _target))

    def __str__(self) -> str:
        return ",".join(map(str, self.items))


def _list_faults(
    items: list[str], faults_of: Callable[[str], Iterator[str]], what: str, key_of: Callable[[str], str]
) -> Iterator[Flaw]:
    return chain(item_faults(items, faults_of, FULL_WIDTH_BETWEEN_PATHS), repeat_faults(items, what, key_of))


def _path_faults(text: str) -> Iterator[str]:
    if not text:
        yield "不能为空"
        return
    if text != text.strip():
        yield "首尾不能有空白字符"
    if not text.lstrip().startswith("/"):
        yield "须为以“/”开头的绝对路径"
    if ".." in text.strip().split("/"):
        yield "不能含有“..”"


def _single_faults(text: str) -> Iterator[str]:
    if ":" in text:
        yield "不能含有“:”，须为单个路径"
    yield from _path_faults(text)


def _pair_faults(text: str) -> Iterator[str]:
    parts = text.split(":")
    if len(parts) != 2:
        yield "须写作“源路径:目标路径”"
        return
    for what, path in zip(("的源路径", "的目标路径"), parts, strict=True):
        yield from (what + fault for fault in _path_faults(path))


def _target(pair: str) -> str:
    return _canonical(pair.partition(":")[2])


def _canonical(path: str) -> str:
    # In POSIX exactly two leading slashes are special, three are not: so `//data` equals `/data`.
    return normpath("//" + path) if path else ""
