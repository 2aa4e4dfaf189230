"""What a container asks of a GPU: a record's gpuRequests in the units of a profile.

`gpuRequests` is MiB for one container on one device. Requests round up, the capacity of a card rounds down, and
a request above the largest card is refused, never split.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from algoplatform.manifests.gpu.profiles import Profile

_WHOLE = 100


class DoesNotFit(ValueError):
    """No card of the cluster holds the request; the message is a Chinese predicate of gpuRequests."""


@dataclass(frozen=True, slots=True)
class GpuAmounts:
    """Limits by resource, and how much GPU memory they reserve, in MiB; None if that is unknown."""

    limits: dict[str, int | str]
    reserved: int | None = None


NOTHING = GpuAmounts({})


def amounts(mib: int | None, profile: Profile, cards: tuple[int, ...] = (), cores: int | None = None) -> GpuAmounts:
    """Return the limits for a request in MiB on cards of these sizes in MiB; raises DoesNotFit."""
    if not mib or profile.is_none:
        return NOTHING
    whole = profile.whole_cards or profile.count
    if profile.cards_up_to and whole and mib <= profile.cards_up_to:
        return GpuAmounts({whole: mib})
    if cards and mib > max(cards):
        raise DoesNotFit(f"为{mib}MiB，超过最大的GPU卡（{max(cards)}MiB）")
    if profile.slices:
        return _slice(mib, profile, cards)
    return _with_memory(mib, profile, cards, cores) if profile.memory else _share(mib, profile, cards)


def core_fault(profile: Profile, cores: int | None) -> str | None:
    """Return what is wrong with the option `cores` for a profile, as a Chinese predicate."""
    if cores is None or not profile.core:
        return None
    if profile.core_rule == "percent":
        return None if cores <= _WHOLE else f"须为1至{_WHOLE}的整数，不能为“{cores}”"
    fits = cores < _WHOLE or cores % _WHOLE == 0
    return None if fits else f"须为1至{_WHOLE - 1}或{_WHOLE}的整数倍，不能为“{cores}”"


def _with_memory(mib: int, profile: Profile, cards: tuple[int, ...], cores: int | None) -> GpuAmounts:
    assert profile.memory is not None
    rounded = _rounded(mib, profile)
    units = -(-rounded // profile.unit_mib)
    if cards and units > max(cards) // profile.unit_mib:
        raise DoesNotFit(
            f"按方案{profile.name}取整后为{units * profile.unit_mib}MiB，最大的GPU卡（{max(cards)}MiB）放不下"
        )
    limits: dict[str, int | str] = {profile.count: 1} if profile.count else {}
    limits[profile.memory] = units if profile.quantity == "int" else f"{units * profile.unit_mib}Mi"
    if profile.core:
        limits.update(_core(mib, profile, profile.core, cards, cores))
    return GpuAmounts(limits, units * profile.unit_mib)


def _rounded(mib: int, profile: Profile) -> int:
    if not profile.round_to:
        return mib
    fitting = [size for size in profile.round_to if size >= mib]
    if not fitting:
        raise DoesNotFit(f"为{mib}MiB，超过方案{profile.name}的最大规格（{max(profile.round_to)}MiB）")
    return min(fitting)


def _core(
    mib: int, profile: Profile, core: str, cards: tuple[int, ...], cores: int | None
) -> Iterator[tuple[str, int | str]]:
    if cores is not None:
        yield core, cores
    elif profile.core_rule == "percent-or-hundreds":
        if not cards:
            raise DoesNotFit(f"不能为{mib}：方案{profile.name}还需要算力，请给出cores或cards")
        # With such a profile, a pod that requests no cores gets no GPU: request the same share of cores as of memory.
        yield core, -(-mib * _WHOLE // max(cards))


def _slice(mib: int, profile: Profile, cards: tuple[int, ...]) -> GpuAmounts:
    fitting = [
        (size, resource)
        for resource, size in profile.slices.items()
        if size >= mib and (not cards or size <= max(cards))
    ]
    if not fitting:
        raise DoesNotFit(f"为{mib}MiB，方案{profile.name}没有放得下的规格")
    size, resource = min(fitting)
    return GpuAmounts({resource: 1}, size)


def _share(mib: int, profile: Profile, cards: tuple[int, ...]) -> GpuAmounts:
    assert profile.count is not None
    limits: dict[str, int | str] = {profile.count: 1}
    if not cards or not profile.shares_per_card:
        return GpuAmounts(limits)
    shares = [card // profile.shares_per_card for card in cards]
    if mib > max(shares):
        raise DoesNotFit(f"为{mib}MiB，超过一份GPU的显存（{max(shares)}MiB，每卡{profile.shares_per_card}份）")
    return GpuAmounts(limits, min(share for share in shares if share >= mib))
