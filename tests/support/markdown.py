"""What tests read out of the project's own documents."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: what it is written in, and its text."""

    language: str
    text: str


def blocks(text: str) -> list[Block]:
    """Take the fenced blocks out of a document, in order."""
    return [Block(*found) for found in _FENCE.findall(text)]


def headings(text: str) -> list[tuple[int, str]]:
    """Give the level and the words of each heading."""
    return [(len(marks), words) for marks, words in _HEADING.findall(_FENCE.sub("", text))]


def links(text: str) -> list[str]:
    """Give the targets of a document's links."""
    return _LINK.findall(_FENCE.sub("", text))


def rows(text: str) -> list[list[str]]:
    """Give the cells of a document's tables, without heads and rules."""
    cells = [[cell.strip() for cell in row.split("|")] for row in _ROW.findall(_FENCE.sub("", text))]
    rules = [number for number, row in enumerate(cells) if set("".join(row)) <= set("-:")]
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


def anchor(words: str) -> str:
    """Name a heading as links to it do."""
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
