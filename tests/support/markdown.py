"""Parts of the project's documents."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language and text."""

    language: str
    text: str


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    return [Block(*found) for found in _FENCE.findall(text)]


def headings(text: str) -> list[tuple[int, str]]:
    """Return the level and text of each heading."""
    return [(len(marks), words) for marks, words in _HEADING.findall(_FENCE.sub("", text))]


def links(text: str) -> list[str]:
    """Return the targets of the links in a document."""
    return _LINK.findall(_FENCE.sub("", text))


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables in a document, without headers and rules."""
    cells = [[cell.strip() for cell in row.split("|")] for row in _ROW.findall(_FENCE.sub("", text))]
    rules = [number for number, row in enumerate(cells) if set("".join(row)) <= set("-:")]
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


def anchor(words: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
