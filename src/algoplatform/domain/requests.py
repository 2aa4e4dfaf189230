"""Bodies of writes that are no records: which image to delete or to restore."""

from collections.abc import Callable
from typing import Any, Final

from algoplatform.domain.access import Caller
from algoplatform.domain.errors import BadRequest, Malformed, Refused
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record import fields
from algoplatform.domain.record.image import is_blank, unknown_faults

_DELETION_FIELDS: Final = ("imageId", "userResult")


def check_deletion(data: Any) -> tuple[str, Caller]:
    """Return the id to delete and the caller; raise Refused with every fault."""
    if not isinstance(data, dict):
        raise BadRequest("请求体须为JSON对象", malformed=False)
    faults: list[Fault] = []
    more = 0
    user = data.get("userResult")
    image_id = read_required(data, "imageId", "imageId", fields.check_id, faults)
    authority, namespace = 0, ""
    if is_blank(user):
        faults.append(Fault("userResult", Code.FIELD, "userResult不能为空"))
    elif not isinstance(user, dict):
        faults.append(Fault("userResult", Code.FIELD, "userResult须为JSON对象"))
    else:
        authority = read_required(user, "authority", "userResult.authority", fields.check_integer, faults)
        if not is_blank(user.get("namespace")):
            namespace = read_required(user, "namespace", "userResult.namespace", fields.check_text, faults)
        unknown, more = unknown_faults(user, ("authority", "namespace"), "userResult.")
        faults += unknown
    # Typed clients may send a shared class: fields of a record count as unknown only if they are not empty.
    unknown, others = unknown_faults(data, _DELETION_FIELDS)
    faults += unknown
    if faults:
        raise Refused(faults, more=more + others)
    return image_id, Caller(authority, frozenset([namespace] if namespace else []))


def check_restoration(data: Any) -> int | None:
    """Return the version to restore; None if the image is only to be undeleted."""
    if not isinstance(data, dict):
        raise BadRequest("请求体须为JSON对象", malformed=False)
    faults: list[Fault] = []
    blank = is_blank(data.get("version"))
    version = None if blank else read_required(data, "version", "version", fields.check_integer, faults)
    unknown, more = unknown_faults(data, ("version",))
    if faults or unknown:
        raise Refused([*faults, *unknown], more=more)
    return version


def read_required(data: dict[str, Any], name: str, label: str, parse: Callable[[Any], Any], faults: list[Fault]) -> Any:
    """Return a parsed field; if it is absent or malformed, add to `faults` and return None."""
    value = data.get(name)
    if is_blank(value):
        faults.append(Fault(label, Code.FIELD, f"{label}不能为空"))
        return None
    try:
        return parse(value)
    except Malformed as error:
        faults += [Fault(label, Code.FIELD, f"{label}{sentence}") for sentence in error.faults]
        return None
