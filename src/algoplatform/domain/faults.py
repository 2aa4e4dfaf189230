"""What is wrong with a record: one fault per rule broken, named by field."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """The status table of the interface, without its HTTP side (see docs/status-codes.md)."""

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
    PRECONDITION_REQUIRED = "-428"
    TOO_MANY_REQUESTS = "-429"
    INTERNAL = "-500"
    UNAVAILABLE = "-503"


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with a value, whichever field it is of; `position` counts the items of a list from 1."""

    message: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one field, told in Chinese; `position` counts the items of a list from 1, None where no one item is meant."""

    field: str
    code: Code
    message: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class RecordFault:
    """A fault of one record of a file; `image` is its name and tag run together, as the document's upload answer has it."""

    position: int
    image: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.image}:{self.fault.message}"
