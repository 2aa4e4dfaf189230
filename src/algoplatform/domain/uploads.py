"""What a client may ask of an upload, and what it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class OnConflict(StrEnum):
    """What an upload does with an image that is registered already."""

    UPDATE = "update"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Counts:
    """What an upload did, in images."""

    created: int
    updated: int
    unchanged: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one image: `action` is create, update or skip; `fields` are those that an update changes."""

    image: str
    action: str
    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class CountsAndChanges(Counts):
    """What an upload did, in images, and the first thousand of them, those that changed before the others."""

    changes: Sequence[Change]
