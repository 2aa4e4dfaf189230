"""The options and the results of an upload."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field


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

    created: Annotated[int, Field(ge=0, description="新登记的镜像数")]
    updated: Annotated[int, Field(ge=0, description="更新的镜像数")]
    unchanged: Annotated[int, Field(ge=0, description="没有变化的镜像数")]
    skipped: Annotated[int, Field(ge=0, description="跳过的镜像数")]


@dataclass(frozen=True, slots=True)
class Change:
    """The effect on one image."""

    image: Annotated[str, Field(description="镜像名:标签名")]
    action: Annotated[Literal["create", "update", "skip"], Field(description="登记、更新或跳过")]
    fields: Annotated[Sequence[str], Field(description="更新时有变化的字段")]


@dataclass(frozen=True, slots=True)
class CountsAndChanges(Counts):
    """The counts and, where the client asked for them, the changes of up to 1,000 images."""

    changes: Annotated[
        Sequence[Change], Field(max_length=1000, description="有变化的镜像，更新的在前；仅当changes=true")
    ]
