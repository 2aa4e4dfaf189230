"""A fast view of stored records: splits fields without checks, as they were checked when they were written.

Lint has two seconds for 100,000 images: building the value objects of the domain would take longer than running
all rules.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from typing import Any, Final, TypeAlias, TypeVar

from algoplatform.domain.grammar.paths import canonical
from algoplatform.domain.record.model import reference_of

T = TypeVar("T")

# A record by the field names of the wire; empty fields are null or absent.
Record: TypeAlias = Mapping[str, Any]
# The key, beside the fields of the record, of what a registry said about the image; absent if it was never asked.
ARTIFACT: Final = "artifact"

# Equal fields recur across records, so results are cached: the most entries, and the most characters of arguments.
_REMEMBERED: Final = 256
_SHORT: Final = 512
# Enough for the rules that read the same field of one record in turn.
_RECENT: Final = 32
_QUOTING: Final = re.compile(r"""['"\\]""")
_PORT: Final = re.compile(r"([^:,]++):([^:,]++)(?::([^,]++))?")
_SEPARATOR: Final = re.compile(r"(?<!\\),")


def remembered(function: Callable[..., T]) -> Callable[..., T]:
    """Cache the results of a function of texts (or None), unless the texts are long."""
    known = lru_cache(_REMEMBERED)(function)

    @wraps(function)
    def recall(*texts: str | None) -> T:
        size = 0
        for text in texts:
            if text:
                size += len(text)
        return known(*texts) if size <= _SHORT else function(*texts)

    return recall


def normal(path: str) -> str:
    """Return a path without redundant slashes and "." segments."""
    if "//" not in path and "/." not in path and path[-1] != "/":
        return path
    return canonical(path)


@lru_cache(_RECENT)
def ports(text: str) -> list[tuple[str, str, str]]:
    """Split imagePorts into (name, container port, node port), with an empty text for no node port."""
    return _PORT.findall(text)


def paths(text: str | None) -> list[str]:
    """Split a list of paths, and normalise them."""
    return [normal(path) for path in text.split(",")] if text else []


@lru_cache(_RECENT)
def pairs(text: str | None) -> list[tuple[str, str]]:
    """Split `source:target` pairs, and normalise the paths."""
    parted = [item.partition(":") for item in text.split(",")] if text else []
    return [(normal(source), normal(target)) for source, _, target in parted]


def variables(text: str) -> list[tuple[str, str]]:
    """Split env into keys and unescaped values."""
    if "\\" not in text:
        parted = [item.partition(":") for item in text.split(",")]
        return [(key, value) for key, _, value in parted]
    parted = [item.partition(":") for item in _SEPARATOR.split(text)]
    return [(key, value.replace("\\,", ",")) for key, _, value in parted]


def words(text: str | None) -> list[str]:
    """Split a command line as a shell does."""
    if not text:
        return []
    # A record's command line contains no control characters, so a space is its only blank.
    return shlex.split(text) if _QUOTING.search(text) else [word for word in text.split(" ") if word]


def first_word(text: str | None) -> str:
    """Return the first word of a command line, empty if there is none."""
    if not text:
        return ""
    word = text.partition(" ")[0]
    if word and "'" not in word and '"' not in word and "\\" not in word:
        return word
    return next(iter(words(text)), "")


def dependencies(record: Record) -> list[str]:
    """Return the references that a record depends on, except its own."""
    text = record.get("dependencyServiceId")
    if not text:
        return []
    own = reference_of(record)
    return [item for item in text.split(",") if item != own]
