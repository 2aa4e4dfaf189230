"""How a GPU profile shares cards, in the numbers of a plan: capacity rounds down, requests round up.

Profiles that hand out equal parts of a card (whole cards, MPS, MIG) have units instead of memory: here each unit is
a smaller card with one share. Where memory is shared, a card has one share for each pod that may use it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from algoplatform.domain.errors import Malformed
from algoplatform.domain.plan.model import MAX_CARDS, Margin
from algoplatform.manifests.gpu.amounts import DoesNotFit, amounts
from algoplatform.manifests.gpu.profiles import Profile
from algoplatform.manifests.options import Options
from algoplatform.planning.capacity.model import Card, Reserve

_WHOLE: Final = 100


@dataclass(frozen=True, slots=True)
class Request:
    """What one replica takes of a card; `oversized` if no card holds it."""

    memory: int = 0
    shares: int = 0
    oversized: bool = False


_NOTHING: Final = Request()


@dataclass(slots=True)
class Sharing:
    """A profile and, once the nodes are known, the sizes of their cards in MiB."""

    profile: Profile
    options: Options
    reserve_percent: int = 0
    cards: Sequence[Card] = ()
    _known: dict[int, Request] = field(default_factory=dict)

    @property
    def has_units(self) -> bool:
        """Whether cards are handed out in equal parts."""
        return not self.profile.memory and bool(self.profile.slices or self.profile.shares_per_card)

    @property
    def is_whole(self) -> bool:
        """Whether a pod gets a whole card, or a whole instance of MIG."""
        return self.has_units and bool(self.profile.slices or self.profile.shares_per_card == 1)

    def units(self, memory: int, shares: int | None, pods: int) -> list[Card]:
        """Return a card as the plan sees it: one card, or its units. `pods` is how many pods the node takes."""
        if self.profile.is_none:
            return [Card(memory, 0)]
        if self.has_units:
            parts = self.parts(shares)
            return [Card(memory // parts, 1)] * parts
        unit = self.profile.unit_mib
        return [Card(memory // unit * unit, self._shares(shares, pods))]

    def parts(self, shares: int | None) -> int:
        """Return the number of units of a card: one if it is handed out as a whole, whatever its `shares`."""
        if not self.has_units or self.is_whole:
            return 1
        return min(shares or self.profile.shares_per_card or 1, MAX_CARDS + 1)

    def reserve(self, margin: Margin) -> Reserve:
        """Return what must stay free. Cards that are handed out in units keep no part of their memory free."""
        if self.has_units:
            return Reserve(0, margin.nodes)
        return Reserve(margin.gpu_memory_percent, margin.nodes, self.profile.unit_mib)

    def shares_of(self, cores: int) -> int:
        """Return the shares of a card that a running pod with this many cores holds."""
        return min(max(cores, 1), _WHOLE) if self._is_by_core else 1

    def request(self, mib: int | None) -> Request:
        """Return what `gpuRequests` takes; raises Malformed for what a plan cannot express."""
        if not mib or self.profile.is_none:
            return _NOTHING
        if mib not in self._known:
            self._known[mib] = self._request(mib)
        return self._known[mib]

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing limits the memory of a pod, as with time slicing."""
        return not self.profile.memory and not self.has_units

    @property
    def _is_by_core(self) -> bool:
        """Whether a request takes the same part of a card's cores as of its memory."""
        return self.profile.core_rule == "percent-or-hundreds" and self.options.cores is None

    def _shares(self, shares: int | None, pods: int) -> int:
        if self._is_by_core:
            return _WHOLE
        most = shares or self.profile.shares_per_card or pods
        cores = self.options.cores if self.profile.core else None
        return min(most, max(1, _WHOLE // cores)) if cores else most

    def _request(self, mib: int) -> Request:
        if self.profile.cards_up_to and mib <= self.profile.cards_up_to:
            return self._whole(mib)
        if self.has_units:
            fitting = [card.memory for card in self.cards if card.memory >= mib]
            return Request(min(fitting), 1) if fitting else Request(mib, 1, oversized=bool(self.cards))
        try:
            found = amounts(mib, self.profile, tuple(card.memory for card in self.cards), self.options.cores)
        except DoesNotFit:
            return Request(mib, 1, oversized=True)
        cores = found.limits.get(self.profile.core or "", 1) if self._is_by_core else 1
        return Request(found.reserved or mib, int(cores))

    def _whole(self, count: int) -> Request:
        """Return what a request for whole cards takes: all shares of one card."""
        if count > 1:
            raise Malformed(f"为{count}，在方案{self.profile.name}中是{count}张整卡，而规划时每个副本至多用一张卡")
        smallest = min((card.memory for card in self.cards), default=0)
        free = smallest * (_WHOLE - self.reserve_percent) // _WHOLE
        return Request(free, max((card.shares for card in self.cards), default=1))
