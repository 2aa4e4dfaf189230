"""The body of `_render`: images, options and contents of configuration files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from algoplatform.domain.errors import MAX_FIELD_FAULTS, Refused, clip
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.fields import is_blank
from algoplatform.domain.record.wording import unknown_faults

MAX_IMAGES: Final = 1_000
# Including duplicates.
_MOST_GIVEN: Final = 10 * MAX_IMAGES
_MAX_REFERENCE: Final = 384


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """Images by id or reference, each once; texts by reference and path. Options are checked where they are read."""

    images: list[str]
    config_files: Mapping[str, Mapping[str, str]]


def check_render_request(body: object) -> RenderRequest:
    """Check the shape of a request; raises Refused with every fault."""
    if not isinstance(body, dict):
        raise Refused([Fault("", Code.BAD_REQUEST, "请求体须为JSON对象")])
    images, faults = _images(body.get("images"))
    _object(body, "options", faults)
    files = _object(body, "configFiles", faults)
    faults += [
        Fault("configFiles", Code.FIELD, f"configFiles中“{clip(reference)}”须为路径到文本的对象")
        for reference, texts in list(files.items())[:_MOST_GIVEN]
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values())
    ][:MAX_FIELD_FAULTS]
    unknown, more = unknown_faults(body, ("images", "options", "configFiles"), what="不是已知的字段")
    if faults or unknown:
        raise Refused([*faults, *unknown], more=more)
    return RenderRequest(images, files)


def _images(given: object) -> tuple[list[str], list[Fault]]:
    if is_blank(given) or given == []:
        return [], [Fault("images", Code.FIELD, "images不能为空")]
    if not isinstance(given, list):
        return [], [Fault("images", Code.FIELD, "images须为镜像编号或镜像名:标签名的列表")]
    faults = [
        Fault("images", Code.FIELD, f"images的第{position}项须为镜像编号或镜像名:标签名", position)
        for position, item in enumerate(given[:_MOST_GIVEN], 1)
        if type(item) is not str or not 0 < len(item) <= _MAX_REFERENCE
    ][:MAX_FIELD_FAULTS]
    found = [] if faults else list(dict.fromkeys(given[:_MOST_GIVEN]))
    if len(given) > _MOST_GIVEN or len(found) > MAX_IMAGES:
        faults.append(Fault("images", Code.FIELD, f"images至多{MAX_IMAGES}个"))
    return found, faults


def _object(body: Mapping[str, Any], name: str, faults: list[Fault]) -> dict[str, Any]:
    value = body.get(name)
    if is_blank(value):
        return {}
    if not isinstance(value, dict):
        faults.append(Fault(name, Code.FIELD, f"{name}须为JSON对象"))
        return {}
    return value
