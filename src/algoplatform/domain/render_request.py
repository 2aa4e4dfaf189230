"""The body of `_render`: images, options and contents of configuration files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from algoplatform.domain.errors import MAX_FIELD_FAULTS, Malformed, clip
from algoplatform.domain.faults import Flaw
from algoplatform.domain.grammar.items import EMPTY
from algoplatform.domain.requests import Checks, check_fields, check_object, require_object

MAX_IMAGES: Final = 1_000
# Including duplicates.
_MOST_GIVEN: Final = 10 * MAX_IMAGES
_MAX_REFERENCE: Final = 384


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """Images by id or reference, each once; texts by reference and path. Other code checks the options."""

    images: list[str]
    config_files: Mapping[str, Mapping[str, str]]


def check_render_request(body: object) -> RenderRequest:
    """Check the shape of a request; raises Refused with every fault."""
    found = check_fields(require_object(body), _CHECKS, required=("images",), unknown="不是已知的字段")
    return RenderRequest(found["images"], found.get("configFiles", {}))


def _check_images(given: object) -> list[str]:
    if given == []:
        raise Malformed(EMPTY)
    if not isinstance(given, list):
        raise Malformed("须为镜像编号或镜像名:标签名的列表")
    flaws = [
        Flaw(f"的第{position}项须为镜像编号或镜像名:标签名", position)
        for position, item in enumerate(given[:_MOST_GIVEN], 1)
        if type(item) is not str or not 0 < len(item) <= _MAX_REFERENCE
    ][:MAX_FIELD_FAULTS]
    found = [] if flaws else list(dict.fromkeys(given[:_MOST_GIVEN]))
    if len(given) > _MOST_GIVEN or len(found) > MAX_IMAGES:
        flaws.append(Flaw(f"至多{MAX_IMAGES}个"))
    if flaws:
        raise Malformed(*flaws)
    return found


def _check_files(given: object) -> Mapping[str, Mapping[str, str]]:
    files = check_object(given)
    flaws = [
        f"中“{clip(reference)}”须为路径到文本的对象"
        for reference, texts in list(files.items())[:_MOST_GIVEN]
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values())
    ][:MAX_FIELD_FAULTS]
    if flaws:
        raise Malformed(*flaws)
    return files


_CHECKS: Final[Checks] = {"images": _check_images, "options": check_object, "configFiles": _check_files}
