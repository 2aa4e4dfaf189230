"""The only place that applies the rules of a record.

`check` validates the data of a registration, update or upload, and returns either an `Image` or all faults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.grammar.ports import NODE_PORTS
from algoplatform.domain.record.fields import is_blank
from algoplatform.domain.record.model import FRAME_CODES, INPUTS, SELF_DEVELOPED, Image
from algoplatform.domain.record.wording import empty_fault, field_faults, in_field_order, unknown_faults


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that an operator configures."""

    node_ports: range = NODE_PORTS


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check: the image if it is valid, else its faults in the document's field order.

    `present` names the fields that the client sent: an update changes only these. `more` counts unlisted
    faults, all of them unknown fields; `cut` is set if a field has faults that were not counted.
    """

    image: Image | None
    faults: list[Fault]
    present: frozenset[str] = frozenset()
    more: int = 0
    cut: bool = False


def check(data: object, rules: Rules, *, partial: bool = False) -> Checked:
    """Apply all rules that need no database; with `partial`, absent optional fields keep stored values."""
    if not isinstance(data, dict):
        return Checked(None, [Fault("", Code.BAD_REQUEST, "镜像信息须为JSON对象")])
    unknown: list[Fault] = []
    more, cut = 0, False
    if not INPUTS.issuperset(data):
        # Pydantic would build an error object for each unknown name, and validates nothing if a name
        # contains a lone surrogate.
        unknown, more = unknown_faults(data, INPUTS)
        data = {name: data[name] for name in INPUTS if name in data}
    clean, faults = _normalise(data)
    faults += unknown
    present = frozenset(data) if "imageports" not in data else frozenset(data) | {"imagePorts"}
    image: Image | None = None
    try:
        image = Image.read(clean, rules)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_input=False):
            name = str(found["loc"][0])
            if found["type"] == "missing":
                faults.append(empty_fault(name))
            else:
                faults += field_faults(name, found["ctx"]["error"])
                cut |= found["ctx"]["error"].cut
    empty = [name for name in FRAME_CODES if name not in clean and (name in present or not partial)]
    if clean.get("algoType") == SELF_DEVELOPED:
        faults += map(empty_fault, empty)
    return Checked(None if faults else image, in_field_order(faults), present, more, cut)


def check_registration(data: object, rules: Rules) -> Checked:
    """Check a new image, which must have no id yet: the server assigns it."""
    checked = check(data, rules)
    if isinstance(data, dict) and not is_blank(data.get("imageId")):
        own = Fault("imageId", Code.FIELD, "imageId由服务端生成，注册时须为空")
        others = [fault for fault in checked.faults if fault.field != "imageId"]
        return replace(checked, image=None, faults=[own, *others])
    return checked


def check_update(data: object, rules: Rules) -> Checked:
    """Check an update, which must have an id; absent fields keep their stored values."""
    checked = check(data, rules, partial=True)
    if isinstance(data, dict) and is_blank(data.get("imageId")):
        return replace(checked, image=None, faults=[empty_fault("imageId"), *checked.faults])
    return checked


def absent_frames(data: Mapping[str, Any]) -> list[str]:
    """Return the frame fields that an update to algoType 0 omits, so that they must be stored already."""
    return [name for name in FRAME_CODES if data.get("algoType") == SELF_DEVELOPED and name not in data]


def _normalise(data: dict[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    clean, faults = {}, []
    for name, value in data.items():
        if value is None or (type(value) is str and not value.strip() and is_blank(value)):
            continue
        clean[name] = value
    alias = clean.pop("imageports", None)
    if not is_blank(alias) and not _is_same(clean.setdefault("imagePorts", alias), alias):
        faults.append(Fault("imagePorts", Code.IMAGE_PORTS, "imagePorts与imageports不一致"))
    return clean, faults


def _is_same(value: object, alias: object) -> bool:
    """Compare texts only; other values are refused anyway, and may be nested too deeply for Python to compare."""
    return value is alias or (type(value) is str and value == alias)
