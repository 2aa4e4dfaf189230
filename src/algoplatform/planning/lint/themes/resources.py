"""Rules on the numbers of a record: CPU, memory, GPU memory, storage, channels."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from algoplatform.planning.lint.findings import Flaw
from algoplatform.planning.lint.record import Record, variables
from algoplatform.planning.lint.themes.host_paths import has_driver_library

# Returns the GPU memory that a profile reserves for a request, both in MiB.
Rounded = Callable[[int], int]

# Below these, another unit was probably meant. gpuRequests must be last: `flaws` uses its number after the loop.
_SUSPECT: Final = (("cpuRequests", 50, "毫核"), ("memRequests", 64, "MiB"), ("gpuRequests", 256, "MiB"))
_CUDA: Final = ("CUDA_", "NVIDIA_")


def flaws(record: Record, cards: Sequence[int], rounded: Rounded | None) -> list[Flaw]:
    """Return the flaws of a record's numbers; `cards` are the sizes of GPU cards in MiB, the largest last."""
    found: list[Flaw] = []
    get = record.get
    for field, least, unit in _SUSPECT:
        asked = get(field) or 0
        if asked < least:
            found += _few(field, asked, unit)
    if not get("tvChannel"):
        found.append(_unset("channels-unknown", "tvChannel", "无法按视频路数计算副本数"))
    if get("imageMount") and not get("pvcSize"):
        found.append(_unset("pvc-missing", "pvcSize", "imageMount中的数据随容器删除"))
    if asked:
        found += _gpu(asked, cards, rounded)
    elif sign := _gpu_sign(record):
        found.append(_whole_card(sign))
    return found


def _few(field: str, asked: int, unit: str) -> Iterator[Flaw]:
    if asked:
        yield Flaw("unit-suspect", field, asked, f"{field}为{asked}{unit}，单位可能有误")
    elif field != "gpuRequests":
        yield _unset("no-requests", field, "调度时不会预留资源")


def _gpu(asked: int, cards: Sequence[int], rounded: Rounded | None) -> Iterator[Flaw]:
    if cards and asked > cards[-1]:
        text = f"gpuRequests为{asked}MiB，超过最大的显卡（{cards[-1]}MiB）"
        yield Flaw("gpu-exceeds-card", "gpuRequests", asked, text)
    reserved = rounded(asked) if rounded else asked
    if 4 * (reserved - asked) > reserved:
        text = f"gpuRequests为{asked}MiB，取整后占用{reserved}MiB，浪费超过25%"
        yield Flaw("gpu-rounding", "gpuRequests", asked, text)


@lru_cache(8)
def _whole_card(sign: str) -> Flaw:
    return Flaw("gpu-whole-card", "gpuRequests", None, f"{sign}表明使用显卡，但没有填写gpuRequests")


def _gpu_sign(record: Record) -> str | None:
    """Return the field that shows that an image uses a GPU, if there is one."""
    for field in ("subPath", "hostPath"):
        if has_driver_library(record.get(field)):
            return field
    env = record.get("env")
    if env and any(prefix in env for prefix in _CUDA) and any(key.startswith(_CUDA) for key, _ in variables(env)):
        return "env"
    return None


@lru_cache(8)
def _unset(rule: str, field: str, effect: str) -> Flaw:
    return Flaw(rule, field, None, f"没有填写{field}，{effect}")
