"""Checks of bodies and options other than records and search conditions; all faults are reported at once."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from algoplatform.domain.access import Caller
from algoplatform.domain.errors import BadRequest, Malformed, Refused, clip
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.grammar.items import EMPTY
from algoplatform.domain.record import fields
from algoplatform.domain.record.fields import is_blank
from algoplatform.domain.record.wording import unknown_faults
from algoplatform.domain.search import DEFAULT_PAGE_SIZE, check_positive
from algoplatform.domain.uploads import OnConflict, UploadOptions

One = TypeVar("One")
Other = TypeVar("Other")

# The parser of each known field; it raises Malformed, or Refused if the field is an object with its own fields.
Checks: TypeAlias = Mapping[str, Callable[[Any], Any]]

# A page of revisions is built in memory, each with the record before and after it.
MAX_REVISIONS: Final = 100
_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}
_USER: Final[Checks] = {"authority": fields.check_integer, "namespace": fields.check_text}


def check_deletion(data: Any) -> tuple[str, Caller]:
    """Return the id to delete and the caller; raise Refused with every fault."""
    checks = {"imageId": fields.check_id, "userResult": _check_user}
    found = check_fields(check_body(data), checks, required=checks)
    return found["imageId"], found["userResult"]


def _check_user(user: object) -> Caller:
    found = check_fields(check_object(user), _USER, prefix="userResult.", required=("authority",))
    return Caller(found["authority"], frozenset([found["namespace"]] if "namespace" in found else []))


def check_verification(data: Any) -> Caller | None:
    """Return the caller that a body's userResult names, None without one; raise Refused with every fault."""
    claim: Caller | None = check_fields(check_body(data), {"userResult": _check_user}).get("userResult")
    return claim


def check_restoration(data: Any) -> int | None:
    """Return the version to restore; None if the image is only to be undeleted."""
    version: int | None = check_fields(check_body(data), {"version": fields.check_integer}).get("version")
    return version


def check_paging(query: Mapping[str, Any]) -> tuple[int, int]:
    """Return page and pageSize of a history; raise Refused with every fault."""
    limits = {"page": fields.MAX_INTEGER, "pageSize": MAX_REVISIONS}
    found = check_fields(query, {name: partial(check_positive, limit=limit) for name, limit in limits.items()})
    return found.get("page", 1), found.get("pageSize", DEFAULT_PAGE_SIZE)


def check_upload_options(query: Mapping[str, Any]) -> UploadOptions:
    """Return the options of an upload; raise Refused with every fault."""
    checks: Checks = {"onConflict": fields.choice(*OnConflict), "dryRun": _switch, "changes": _switch}
    found = check_fields(query, checks)
    conflict = OnConflict(found.get("onConflict", OnConflict.UPDATE))
    return UploadOptions(conflict, dry_run=found.get("dryRun", False), changes=found.get("changes", False))


def _switch(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise Malformed(f"须为true或false，不能为“{clip(text)}”")
    return _TRUTHS[text.lower()]


def check_body(data: Any) -> dict[str, Any]:
    """Return a body that is an object; raise BadRequest for any other."""
    if not isinstance(data, dict):
        raise BadRequest("请求体须为JSON对象", malformed=False)
    return data


def require_object(body: object) -> dict[str, Any]:
    """Return a body that is an object; else raise Refused, so that its fault is listed with those of the query."""
    if not isinstance(body, dict):
        raise Refused([Fault("", Code.BAD_REQUEST, "请求体须为JSON对象")])
    return body


def check_object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("须为JSON对象")
    return value


def check_fields(data: Mapping[str, Any], checks: Checks, **options: Any) -> dict[str, Any]:
    """Return the fields that `read_fields` parses; if there are faults, raise Refused with all of them."""
    found, faults, more = read_fields(data, checks, **options)
    if faults:
        raise Refused(faults, more=more)
    return found


def read_fields(
    data: Mapping[str, Any],
    checks: Checks,
    *,
    prefix: str = "",
    required: Collection[str] = (),
    unknown: str = "不是已知字段",
) -> tuple[dict[str, Any], list[Fault], int]:
    """Return the parsed fields that are not blank, all faults, and how many unknown fields are not listed.

    Unknown fields count only if they are not blank: typed clients send every field of a shared class.
    """
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    unlisted = 0
    for name, check in checks.items():
        label = prefix + name
        try:
            if not is_blank(data.get(name)):
                found[name] = check(data[name])
            elif name in required:
                raise Malformed(EMPTY)
        except Malformed as error:
            faults += [Fault(label, Code.FIELD, label + flaw.message, flaw.position) for flaw in error.flaws]
        except Refused as error:
            faults += error.faults
            unlisted += error.total - len(error.faults)
    strange, more = unknown_faults(data, checks, prefix, unknown)
    return found, faults + strange, unlisted + more


def together(one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
    """Return the results of two checks; raises Refused with the faults of both."""
    try:
        first = one()
    except Refused as refused:
        faults, more = list(refused.faults), refused.total - len(refused.faults)
        try:
            other()
        except Refused as also:
            faults += also.faults
            more += also.total - len(also.faults)
        raise Refused(faults, more=more) from None
    return first, other()
