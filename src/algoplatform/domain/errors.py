"""Everything the registry refuses, and why.

AlgoplatformError
├── Refused                a record breaks rules: one fault or several
├── FileRefused            an uploaded file breaks rules: faults of many records
├── Unauthenticated        the caller shows no valid token
├── BadRequest             the request as a whole cannot be read
├── BodyTooLarge           more bytes than the service takes
├── BodyTooSlow            bytes that do not come in time
├── MediaTypeRefused       bytes of a kind that the operation does not read
├── ImageNotFound          no live image has this id
├── ImageInUse             other images depend on it
├── Forbidden              the caller may not do this
├── VersionConflict        If-Match names another version
├── TooManyRequests        others are doing this already, as many as may
├── RequestRunning         a request with this Idempotency-Key is running
└── Unavailable            the database cannot answer now
    └── Busy               all connections to it are in use

`Malformed` stands apart: it is a ValueError that the grammars raise and Pydantic collects.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, Self

from algoplatform.domain.faults import Code, Fault, Flaw, RecordFault

CLIP = 64
# The faults of a field and of a record that a message lists: finding and wording all of them is work that grows with the input.
MAX_FIELD_FAULTS: Final = 20
MAX_RECORD_FAULTS: Final = 200
# Beyond these, faults are not even counted.
MAX_COUNTED: Final = 10_000
_MORE: Final = f"还有更多错误，只列出前{MAX_FIELD_FAULTS}处"


def clip(text: str, limit: int = CLIP) -> str:
    """Shorten text that is echoed in a message, and make sure that it can be written as UTF-8."""
    text = text[: limit + 1]
    if not text.isprintable():
        text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clip_reference(text: str) -> str:
    """Shorten a reference that is echoed: name and tag each by itself, so that a long name does not hide the tag."""
    name, _, tag = text.rpartition(":")
    return f"{clip(name)}:{clip(tag)}"


def unlisted(count: int, *, at_least: bool = False) -> str:
    """Word that so many more faults exist than are listed."""
    if count <= 0:
        return ""
    return f"……至少还有{count}处错误未列出" if at_least else f"……另有{count}处错误未列出"


class Malformed(ValueError):
    """A value breaks its grammar; `flaws` says how, a Chinese sentence each, and `cut` that there are more of them."""

    def __init__(self, *flaws: Flaw | str, cut: bool = False) -> None:
        self.flaws = [Flaw(flaw) if isinstance(flaw, str) else flaw for flaw in flaws]
        self.cut = cut
        super().__init__("；".join(self.faults))

    @property
    def faults(self) -> tuple[str, ...]:
        """The sentences alone."""
        return tuple(flaw.message for flaw in self.flaws)

    @classmethod
    def first(cls, flaws: Iterable[Flaw | str]) -> Self:
        """Take the first flaws, and look for no more than that."""
        told = list(islice(flaws, MAX_FIELD_FAULTS + 1))
        cut = len(told) > MAX_FIELD_FAULTS
        return cls(*told[:MAX_FIELD_FAULTS], *[_MORE] * cut, cut=cut)


class AlgoplatformError(Exception):
    """Something the registry refuses; `code` is its status, `message` what the user reads."""

    code: Code = Code.INTERNAL
    message: str = ""
    # Those listed, how many there are in all, and whether there may be more than were counted.
    faults: Sequence[Fault] = ()
    total: int = 0
    at_least: bool = False

    def __str__(self) -> str:
        return self.message


class Refused(AlgoplatformError):
    """A record breaks rules; the status is that of the first fault in the document's field order."""

    def __init__(self, faults: Sequence[Fault], *, more: int = 0, at_least: bool = False) -> None:
        super().__init__()
        self.faults = faults[:MAX_RECORD_FAULTS]
        self.total = len(faults) + more
        self.at_least = at_least or more >= MAX_COUNTED
        self.code = faults[0].code
        self.message = "；".join(fault.message for fault in self.faults)
        self.message += unlisted(self.total - len(self.faults), at_least=self.at_least)


class FileRefused(AlgoplatformError):
    """A file breaks rules: the first of its faults in the order of its records, and how many there are in all, or at least."""

    def __init__(
        self, record_faults: Sequence[RecordFault], total: int, *, forbidden: bool = False, at_least: bool = False
    ) -> None:
        super().__init__()
        # Whoever may not touch one of the records is told so first, by the status.
        self.code = Code.FORBIDDEN if forbidden else Code.BAD_REQUEST
        self.record_faults = record_faults
        self.total = total
        self.at_least = at_least

    @property
    def message(self) -> str:  # type: ignore[override]  # derived: the faults may be cut to what an answer can hold
        """Run the faults together as the document does, then say how many more there are."""
        return "".join(map(str, self.record_faults)) + unlisted(
            self.total - len(self.record_faults), at_least=self.at_least
        )


class BadRequest(AlgoplatformError):
    """The request as a whole cannot be read; `malformed` tells unreadable bytes from readable ones that ask for nonsense."""

    code = Code.BAD_REQUEST

    def __init__(self, message: str, *, malformed: bool = True) -> None:
        super().__init__()
        self.message = message
        self.malformed = malformed


class BodyTooLarge(AlgoplatformError):
    """The body is larger than the service takes."""

    code = Code.BODY_TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.message = f"请求体超过上限{limit}字节"


class BodyTooSlow(AlgoplatformError):
    """The body does not come in time."""

    code = Code.BAD_REQUEST
    message = "请求体发送过慢"


class MediaTypeRefused(AlgoplatformError):
    """The body is of a media type that this operation does not read."""

    code = Code.MEDIA_TYPE

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message


class ImageNotFound(AlgoplatformError):
    """No live image has this id."""

    code = Code.IMAGE_NOT_FOUND

    def __init__(self, image_id: str) -> None:
        super().__init__()
        self.message = f"镜像不存在：{clip(image_id)}"


class ImageInUse(AlgoplatformError):
    """Other images depend on the one to be deleted; `dependents` are their first references, `total` counts them all."""

    code = Code.IMAGE_IN_USE

    def __init__(self, dependents: Sequence[str], total: int) -> None:
        super().__init__()
        more = f"等{total}个镜像" if total > len(dependents) else ""
        self.message = f"镜像不能删除，以下镜像依赖它：{'，'.join(map(clip_reference, dependents))}{more}"


class Unauthenticated(AlgoplatformError):
    """The caller shows no token, or one that is not valid; `token_given` tells which."""

    code = Code.UNAUTHENTICATED

    def __init__(self, message: str, *, token_given: bool) -> None:
        super().__init__()
        self.message = message
        self.token_given = token_given


class Forbidden(AlgoplatformError):
    """The caller may not do this."""

    code = Code.FORBIDDEN

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message


class VersionConflict(AlgoplatformError):
    """The image has changed since the caller read it."""

    code = Code.PRECONDITION_FAILED
    message = "镜像已被他人修改，请重新查询后再试"


class TooManyRequests(AlgoplatformError):
    """As many as may are doing this already."""

    code = Code.TOO_MANY_REQUESTS
    message = "同时进行的上传或下载过多，请稍后重试"


class RequestRunning(AlgoplatformError):
    """A request with this Idempotency-Key has not ended yet."""

    code = Code.STILL_RUNNING
    message = "相同Idempotency-Key的请求正在处理，请稍后重试"


class Unavailable(AlgoplatformError):
    """The database cannot answer now; trying again later may succeed."""

    code = Code.UNAVAILABLE
    message = "服务暂时不可用，请稍后重试"


class Busy(Unavailable):
    """All connections to the database are in use by others; the database itself answers."""
