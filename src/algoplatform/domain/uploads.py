"""The options and the results of an upload."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class OnConflict(StrEnum):
    """How an upload treats an image that is already registered."""

    UPDATE = "update"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """`dry_run` only checks and counts; `changes` lists what changes in each image."""

    on_conflict: OnConflict = OnConflict.UPDATE
    dry_run: bool = False
    changes: bool = False


DEFAULT_OPTIONS: Final = UploadOptions()


@dataclass(frozen=True, slots=True)
class Counts:
    """The result of an upload, as numbers of images."""

    created: int
    updated: int
    unchanged: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Change:
    """The effect on one image: `action` is create, update or skip; `fields` lists what an update changes."""

    image: str
    action: str
    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class CountsAndChanges(Counts):
    """The counts plus the changes of up to 1,000 images, changed ones first."""

    changes: Sequence[Change]
