"""Requests for the dependency graph: options and bodies, checked with all faults reported at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from algoplatform.domain.errors import Refused
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.fields import MAX_INTEGER, check_integer, check_text, choice
from algoplatform.domain.requests import Checks, check_fields, check_object, read_fields, require_object
from algoplatform.domain.search import check_positive

MAX_IMAGES: Final = 1_000
_MAX_REFERENCE: Final = 384
_UNKNOWN: Final = "不是已知的选项"

Direction = Literal["down", "up", "both"]
Action = Literal["delete", "replace", "update"]


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """The direction in which to follow dependencies, the most edges from the image (None: all), the most images."""

    direction: Direction = "down"
    depth: int | None = None
    limit: int = MAX_IMAGES


@dataclass(frozen=True, slots=True)
class ImpactRequest:
    """A change of an image: `by` is the id or reference of a replacement, `record` holds changed fields."""

    action: Action
    by: str | None = None
    record: dict[str, Any] | None = None
    channels: int | None = None


def check_graph_options(query: Mapping[str, Any]) -> GraphOptions:
    """Check the options of a dependency graph; raises Refused."""
    checks: Checks = {
        "direction": choice("down", "up", "both"),
        "depth": check_integer,
        "limit": partial(check_positive, limit=MAX_IMAGES),
    }
    return GraphOptions(**check_fields(query, checks, unknown=_UNKNOWN))


def check_impact_request(body: object) -> ImpactRequest:
    """Check a request for the impact of a change; raises Refused."""
    checks: Checks = {
        "action": choice("delete", "replace", "update"),
        "by": partial(check_text, limit=_MAX_REFERENCE),
        "record": check_object,
        "channels": partial(check_positive, limit=MAX_INTEGER),
    }
    values, faults, more = read_fields(require_object(body), checks, unknown=_UNKNOWN)
    at_fault = {fault.field for fault in faults}
    action = values.get("action")
    if action is None and "action" not in at_fault:
        faults.insert(0, Fault("action", Code.FIELD, "action不能为空"))
    for field, needed_by in (("by", "replace"), ("record", "update")):
        if action == needed_by and field not in values and field not in at_fault:
            faults.append(Fault(field, Code.FIELD, f"action为{needed_by}时{field}不能为空"))
        if action not in (None, needed_by) and field in values:
            faults.append(Fault(field, Code.FIELD, f"action为{action}时不能有{field}"))
    if action == "delete" and "channels" in values:
        faults.append(Fault("channels", Code.FIELD, "action为delete时不能有channels"))
    if faults:
        raise Refused(faults, more=more)
    return ImpactRequest(**values)
