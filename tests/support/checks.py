"""Checks of records by the default rules."""

from typing import Any, Final

from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.model import Image

RULES: Final = Rules()
IMAGE_ID: Final = "c675e74e1bc211ea9f600242ac110002"
BLANKS: Final = (None, "", " ", "\t\n", "\u3000")
ADVICE: Final = "请检查依赖算法是否正确：镜像名:标签名,镜像名:标签名"


def faults(data: Any, **options: Any) -> list[tuple[str, str, str]]:
    found = check(data, RULES, **options)
    assert (found.image is None) == bool(found.faults)
    return [(fault.field, fault.code.value, fault.message) for fault in found.faults]


def checked(data: Any) -> Image:
    found = check(data, RULES)
    assert found.image is not None, found.faults
    return found.image
