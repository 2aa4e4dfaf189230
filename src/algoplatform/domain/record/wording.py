"""The faults of a record, in Chinese: their texts, codes and order."""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any, Final

from algoplatform.domain.errors import MAX_COUNTED, MAX_RECORD_FAULTS, Malformed, clip, clip_reference
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.grammar.dependencies import Dependencies
from algoplatform.domain.grammar.items import EMPTY
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.fields import is_blank
from algoplatform.domain.record.model import CODES, FRAME_CODES, INPUT_FIELDS, Image

DEPENDENCY_ADVICE: Final = "请检查依赖算法是否正确：镜像名:标签名,镜像名:标签名"
_ORDER: Final = {name: position for position, name in enumerate(INPUT_FIELDS)}


def code_of(name: str) -> Code:
    return CODES.get(name, Code.FIELD)


def field_faults(name: str, error: Malformed) -> list[Fault]:
    """Build the faults of a field from those of its value."""
    lead, tail = (f"{DEPENDENCY_ADVICE}（", "）") if name == "dependencyServiceId" else (name, "")
    return [Fault(name, code_of(name), f"{lead}{flaw.message}{tail}", flaw.position) for flaw in error.flaws]


def empty_fault(name: str) -> Fault:
    """Build the fault of a field that is empty, but required of all images or of self-developed algorithms."""
    return Fault(name, FRAME_CODES.get(name) or code_of(name), name + EMPTY)


def missing_fault(position: int | None, dependency: ImageReference) -> Fault:
    """Build the fault of a dependency that is not registered; `position` is that within its field, from 1."""
    message = f"{DEPENDENCY_ADVICE}（“{clip_reference(str(dependency))}”未注册）"
    return Fault("dependencyServiceId", Code.DEPENDENCY, message, position)


def missing_faults(image: Image, positions: Iterable[int]) -> list[Fault]:
    """Build the faults of unregistered dependencies; `positions` count from 1 and skip the image itself."""
    listed: Dependencies | None = image.dependency_service_id
    others = listed.others(image.reference) if listed else []
    return [missing_fault(*others[position - 1]) for position in positions]


def exists_fault(image: str) -> Fault:
    """Build the fault of a name and tag that a live image already has."""
    return Fault("imageName", Code.IMAGE_EXISTS, f"镜像已注册：{clip_reference(image)}")


def identity_fault() -> Fault:
    """Build the fault of an update whose name or tag differs from the stored one."""
    return Fault("imageName", Code.IDENTITY_CHANGED, "更新不能修改imageName或imageTag")


def label_of(position: int, name: object, tag: object) -> str:
    """Return the label of a record in upload faults: name and tag concatenated, or else its position."""
    parts = [clip(value) for value in (name, tag) if type(value) is str]
    return "".join(parts) or f"第{position}条记录"


def in_field_order(faults: list[Fault]) -> list[Fault]:
    return sorted(faults, key=field_order)


def field_order(fault: Fault) -> int:
    """Return the index of the fault's field in the document's input table; unknown fields sort last."""
    return _ORDER.get(fault.field, len(_ORDER))


def visible(name: str) -> str:
    """Return a field name that a client sent, for a message; a blank name is put in quotation marks."""
    return f"“{clip(name)}”" if is_blank(name) else clip(name)


def unknown_faults(
    data: Mapping[str, Any], known: Collection[str], prefix: str = "", what: str = "不是已知字段"
) -> tuple[list[Fault], int]:
    """Return the faults of the first MAX_RECORD_FAULTS unknown names, and how many more there are.

    Ignores names with blank values, and counts at most MAX_COUNTED more.
    """
    names = (name for name, value in data.items() if name not in known and not is_blank(value))
    shown = [prefix + visible(name) for name in islice(names, MAX_RECORD_FAULTS)]
    return [Fault(name, Code.FIELD, name + what) for name in shown], sum(1 for _ in islice(names, MAX_COUNTED))
