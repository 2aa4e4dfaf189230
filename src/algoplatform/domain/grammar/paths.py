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
from collections.abc import Iterator
from posixpath import normpath
from typing import Final, NamedTuple, Self

from algoplatform.domain.grammar import items
from algoplatform.domain.grammar.items import FULL_WIDTH_BETWEEN_PATHS, Items, Key, ListGrammar

_ITEM: Final = r"(?:/(?!\.\.(?:[/,:]|\Z))[^/,:]*+)+(?<!\s)"
_PATH: Final = re.compile(r"(?:/(?!\.\.(?:/|\Z))[^/]*+)+(?<!\s)")


class AbsolutePath(items.Text):
    """One absolute path: `/home`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a single path; raises Malformed."""
        mistyped = items.full_width_faults(text, FULL_WIDTH_BETWEEN_PATHS)
        if _PATH.fullmatch(text) and not mistyped:
            return cls(text)
        raise items.malformed(text, mistyped or _path_faults(text))


class PathPair(NamedTuple):
    """A source path and its mount target."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source}:{self.target}"


def _path_faults(text: str) -> Iterator[str]:
    if not text:
        yield items.EMPTY
        return
    if text != text.strip():
        yield items.SPACE_AROUND
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
    return canonical(pair.partition(":")[2])


def canonical(path: str) -> str:
    """Return a path without "." segments and redundant slashes."""
    # normpath keeps exactly two leading slashes, as POSIX does, but reduces three or more: hence the two added here.
    return normpath("//" + path) if path else ""


class PathList(Items[str]):
    """Absolute paths: `/vse/logs,/data/videos`."""

    __slots__ = ()
    grammar = ListGrammar(_ITEM, str, _single_faults, Key("", canonical), full_width=FULL_WIDTH_BETWEEN_PATHS)


class PathPairs(Items[PathPair]):
    """Source paths and their mount targets: `/home:/home,/data:/srv/data`."""

    __slots__ = ()
    grammar = ListGrammar(
        f"{_ITEM}:{_ITEM}",
        lambda item: PathPair(*item.split(":")),
        _pair_faults,
        Key("的目标路径", _target),
        full_width=FULL_WIDTH_BETWEEN_PATHS,
    )
