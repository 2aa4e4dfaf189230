"""The tree of errors that the registry raises when it rejects a request.

AlgoplatformError
├── Refused                a record is invalid: one fault or several
├── FileRefused            an uploaded file is invalid: faults of many records
├── Unauthenticated        the request carries no valid token
├── BadRequest             the request as a whole cannot be processed
├── BodyTooLarge           the body exceeds the size limit, in bytes
├── BodyTooSlow            the body does not arrive within its deadline
├── MediaTypeRefused       the operation does not accept this media type
├── ImageNotFound          no live image has this id or reference
├── NeverVerified          no registry has been asked about this image yet
├── ImageInUse             other images depend on it
├── Forbidden              the caller may not do this
├── VersionConflict        the image has changed since the caller read it (If-Match)
├── TooManyRequests        a limit of concurrent operations is reached
├── RequestRunning         a request with this Idempotency-Key is in progress
├── Repeated               a request with this Idempotency-Key has been answered
└── Unavailable            the database is temporarily unavailable
    └── Busy               all pooled connections are in use

`Malformed` is not part of the tree: it is a ValueError that the grammars raise and Pydantic collects.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, Self

from algoplatform.domain.answer import Answer
from algoplatform.domain.faults import Code, Fault, Flaw, RecordFault

CLIP = 64
# How many faults a message lists per field and per record: the cost of finding and wording all of them
# grows with the input.
MAX_FIELD_FAULTS: Final = 20
MAX_RECORD_FAULTS: Final = 200
# Faults are counted up to this number.
MAX_COUNTED: Final = 10_000
_MORE: Final = f"还有更多错误，只列出前{MAX_FIELD_FAULTS}处"


def clip(text: str, limit: int = CLIP) -> str:
    """Truncate text that a message echoes, and make it encodable as UTF-8."""
    text = text[: limit + 1]
    if not text.isprintable():
        text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clip_reference(text: str) -> str:
    """Truncate name and tag of an echoed reference separately, so that a long name does not hide the tag."""
    name, colon, tag = text.rpartition(":")
    return f"{clip(name)}{colon}{clip(tag)}"


def first_of(names: Sequence[str], most: int, unit: str) -> str:
    """Return the first `most` names for a message and, if there are more, their total with its Chinese unit."""
    shown = "、".join(map(clip_reference, names[:most]))
    return f"{shown}等{len(names)}{unit}" if len(names) > most else shown


def too_long(text: str, limit: int) -> str:
    """Return the Chinese predicate for text that exceeds a limit in characters."""
    return f"长度不能超过{limit}个字符，实际为{len(text)}个"


def unlisted(count: int, *, at_least: bool = False) -> str:
    """Return the suffix that says how many faults are not listed; empty if there are none."""
    if count <= 0:
        return ""
    return f"……至少还有{count}处错误未列出" if at_least else f"……另有{count}处错误未列出"


class Malformed(ValueError):
    """A value breaks its grammar; `flaws` holds one Chinese sentence each, `cut` is set if there are more."""

    def __init__(self, *flaws: Flaw | str, cut: bool = False) -> None:
        self.flaws = [Flaw(flaw) if isinstance(flaw, str) else flaw for flaw in flaws]
        self.cut = cut
        super().__init__("；".join(self.faults))

    @property
    def faults(self) -> tuple[str, ...]:
        """The sentences without their positions."""
        return tuple(flaw.message for flaw in self.flaws)

    @classmethod
    def first(cls, flaws: Iterable[Flaw | str]) -> Self:
        """Build the error from the first MAX_FIELD_FAULTS flaws, and consume at most one more."""
        told = list(islice(flaws, MAX_FIELD_FAULTS + 1))
        cut = len(told) > MAX_FIELD_FAULTS
        return cls(*told[:MAX_FIELD_FAULTS], *[_MORE] * cut, cut=cut)


class AlgoplatformError(Exception):
    """Base class: `code` is the status of the response, `message` the Chinese text for the user."""

    code: Code = Code.INTERNAL
    message: str = ""
    # `total` includes faults that are not listed; `at_least` is set if counting stopped early.
    faults: Sequence[Fault] = ()
    total: int = 0
    at_least: bool = False

    def __init__(self, message: str | None = None, code: Code | None = None) -> None:
        super().__init__()
        if message is not None:
            self.message = message
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message


class Refused(AlgoplatformError):
    """A record is invalid; the status is that of the first fault in the document's field order."""

    def __init__(self, faults: Sequence[Fault], *, more: int = 0, at_least: bool = False) -> None:
        super().__init__()
        self.faults = faults[:MAX_RECORD_FAULTS]
        self.total = len(faults) + more
        self.at_least = at_least or more >= MAX_COUNTED
        self.code = faults[0].code
        self.message = "；".join(fault.message for fault in self.faults)
        self.message += unlisted(self.total - len(self.faults), at_least=self.at_least)


class FileRefused(AlgoplatformError):
    """A file is invalid: its first faults in record order; `total` is a lower bound if `at_least` is set."""

    def __init__(
        self, record_faults: Sequence[RecordFault], total: int, *, forbidden: bool = False, at_least: bool = False
    ) -> None:
        super().__init__()
        # Missing permission for any record takes precedence over all other faults.
        self.code = Code.FORBIDDEN if forbidden else Code.BAD_REQUEST
        self.record_faults = record_faults
        self.total = total
        self.at_least = at_least

    @property
    def message(self) -> str:  # type: ignore[override]  # derived: the response may truncate the faults
        """The faults concatenated in the document's format, then how many more there are."""
        return "".join(map(str, self.record_faults)) + unlisted(
            self.total - len(self.record_faults), at_least=self.at_least
        )


class BadRequest(AlgoplatformError):
    """The request as a whole cannot be processed; `malformed` is False if it is well-formed."""

    code = Code.BAD_REQUEST

    def __init__(self, message: str, *, malformed: bool = True) -> None:
        super().__init__(message)
        self.malformed = malformed


class BodyTooLarge(AlgoplatformError):
    code = Code.BODY_TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(f"请求体超过上限{limit}字节")


class BodyTooSlow(AlgoplatformError):
    code = Code.BAD_REQUEST
    message = "请求体发送过慢"


class MediaTypeRefused(AlgoplatformError):
    code = Code.MEDIA_TYPE


class ImageNotFound(AlgoplatformError):
    """No live image has this id or reference; `images` lists all that were not found."""

    code = Code.IMAGE_NOT_FOUND

    def __init__(self, *images: str) -> None:
        self.images = images
        shown = (clip_reference(image) if ":" in image else clip(image) for image in images)
        super().__init__(f"镜像不存在：{'，'.join(shown)}")


class NeverVerified(AlgoplatformError):
    code = Code.IMAGE_NOT_FOUND
    message = "镜像还没有校验过，请先校验（_verify）"


class ImageInUse(AlgoplatformError):
    """Other images depend on the one to be deleted: `dependents` are the first of `total` references."""

    code = Code.IMAGE_IN_USE

    def __init__(self, dependents: Sequence[str], total: int) -> None:
        more = f"等{total}个镜像" if total > len(dependents) else ""
        super().__init__(f"镜像不能删除，以下镜像依赖它：{'，'.join(map(clip_reference, dependents))}{more}")


class Unauthenticated(AlgoplatformError):
    """The request carries no token (`token_given` is False) or an invalid one (True)."""

    code = Code.UNAUTHENTICATED

    def __init__(self, message: str, *, token_given: bool) -> None:
        super().__init__(message)
        self.token_given = token_given


class Forbidden(AlgoplatformError):
    code = Code.FORBIDDEN


class VersionConflict(AlgoplatformError):
    code = Code.PRECONDITION_FAILED
    message = "镜像已被他人修改，请重新查询后再试"


class TooManyRequests(AlgoplatformError):
    code = Code.TOO_MANY_REQUESTS
    message = "同时进行的同类操作过多，请稍后重试"


class RequestRunning(AlgoplatformError):
    code = Code.STILL_RUNNING
    message = "相同Idempotency-Key的请求正在处理，请稍后重试"


class Repeated(AlgoplatformError):
    """A request with this Idempotency-Key has been answered: `answer` is the response stored for repeats."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Unavailable(AlgoplatformError):
    """The database is temporarily unavailable; a later retry may succeed."""

    code = Code.UNAVAILABLE
    message = "服务暂时不可用，请稍后重试"


class Busy(Unavailable):
    """All pooled connections are in use, though the database itself is reachable."""
