"""Faults of a record: one per broken rule, each with the name of its field."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """The interface's status codes, without HTTP (see docs/status-codes.md)."""

    SUCCESS = "0"
    BAD_REQUEST = "-1"
    FIELD = "202"
    IMAGE_EXISTS = "203"
    IMAGE_NOT_FOUND = "204"
    IMAGE_PORTS = "208"
    CONFIG = "209"
    SUB_PATH = "210"
    ALGO_TYPE = "211"
    WORKING_DIR = "214"
    IMAGE_MOUNT = "215"
    ENV = "217"
    IDENTITY_CHANGED = "219"
    IMAGE_IN_USE = "220"
    IMAGE_NAME = "221"
    IMAGE_TAG = "222"
    HOST_PATH = "223"
    FORBIDDEN = "240"
    DEPENDENCY = "308"
    FRAME_INTERVAL = "502"
    FRAME_NUMBER = "503"
    UNAUTHENTICATED = "-401"
    NO_SUCH_PATH = "-404"
    METHOD_NOT_ALLOWED = "-405"
    STILL_RUNNING = "-409"
    PRECONDITION_FAILED = "-412"
    BODY_TOO_LARGE = "-413"
    MEDIA_TYPE = "-415"
    IMPOSSIBLE = "-422"
    PRECONDITION_REQUIRED = "-428"
    TOO_MANY_REQUESTS = "-429"
    INTERNAL = "-500"
    UNAVAILABLE = "-503"


@dataclass(frozen=True, slots=True)
class Flaw:
    """A fault of a value before its field is known; `position` counts the items of a list from 1."""

    message: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one field, with a Chinese message.

    `position` counts the items of a list from 1; None if no single item is at fault.
    """

    field: str
    code: Code
    message: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class RecordFault:
    """A fault of one record of a file; `image` is name and tag concatenated, as the document shows it."""

    position: int
    image: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.image}:{self.fault.message}"
