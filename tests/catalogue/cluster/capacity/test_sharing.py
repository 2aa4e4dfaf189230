"""How a profile divides cards and rounds requests, in cases that the shipped profiles do not cover."""

from typing import Any

import pytest

from algoplatform.catalogue.cluster.capacity.sharing import Request, Sharing
from algoplatform.domain.errors import Malformed
from algoplatform.manifests.gpu.profiles import SHIPPED, Profile
from algoplatform.manifests.options import Options
from algoplatform.planning.capacity.model import Card

T4 = 15109


def sharing(profile: str = "hami", percent: int = 0, **fields: Any) -> Sharing:
    """Return the sharing of a profile with changed fields, on T4 cards."""
    row = SHIPPED[profile].model_dump(by_alias=True, exclude_defaults=True) | fields
    found = Sharing(Profile.model_validate(row), Options(), percent)
    found.cards = sorted(set(found.units(T4, None, 110)), key=lambda card: card.memory)
    return found


def test_whole_cards() -> None:
    """With `cardsUpTo`, a request of 1 takes a whole card, less the reserve; more than one card cannot be planned."""
    older = sharing(cardsUpTo=8, percent=10)
    assert older.request(1) == Request(T4 * 90 // 100, 10)
    assert older.request(9) == Request(9, 1)
    with pytest.raises(Malformed, match="为2，在方案hami中是2张整卡"):
        older.request(2)


def test_cores() -> None:
    """The option `cores` limits the pods of a card; without it Tencent's cores are proportional to the memory."""
    half = Sharing(SHIPPED["hami"], Options(cores=40))
    assert half.units(T4, None, 110) == [Card(T4, 2)]
    tencent = sharing("tencent")
    assert tencent.units(T4, None, 110) == [Card(59 * 256, 100)]
    assert tencent.request(4000) == Request(16 * 256, 27)
    assert Sharing(SHIPPED["tencent"], Options(cores=30)).units(T4, None, 110) == [Card(59 * 256, 3)]


def test_too_large() -> None:
    """A request that no card can hold is oversized, whether the limit is memory, template, unit or share."""
    for profile, mib in (("hami", T4 + 1), ("ascend", 32769), ("aliyun", T4), ("nvidia", T4 + 1), ("nvidia-mps", 1511)):
        asked = sharing(profile).request(mib)
        assert (profile, asked.memory, asked.oversized) == (profile, mib, True)
    assert not Sharing(SHIPPED["nvidia"], Options()).request(5000).oversized
