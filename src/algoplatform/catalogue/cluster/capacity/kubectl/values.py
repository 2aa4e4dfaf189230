"""Quantities of Kubernetes, in whole units."""

from decimal import Decimal
from typing import Final

from algoplatform.domain.record.fields import MAX_INTEGER
from algoplatform.manifests.check.verdicts import amount

MIB: Final = Decimal(1024**2)
MILLI: Final = Decimal("0.001")
ONE: Final = Decimal(1)


def whole(quantity: object, unit: Decimal = ONE, *, up: bool = False) -> int | None:
    """Return a quantity in whole units, rounded down or up; None if it is malformed."""
    value = None if isinstance(quantity, bool) else amount(quantity)
    if value is None:
        return None
    number, rest = divmod(value, unit) if value < MAX_INTEGER * unit else (Decimal(MAX_INTEGER), Decimal(0))
    return int(number) + (up and rest > 0)


def count(quantity: object) -> int:
    """Return a quantity of countable things, 0 if it is malformed."""
    return whole(quantity) or 0
