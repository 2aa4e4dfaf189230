"""Values within objects of Kubernetes, which may be absent or of any type."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from algoplatform.domain.record.fields import MAX_INTEGER
from algoplatform.manifests.check.verdicts import amount

MIB: Final = Decimal(1024**2)
MILLI: Final = Decimal("0.001")
ONE: Final = Decimal(1)
# Longer texts are no quantities, and take long to parse.
_MAX_QUANTITY: Final = 64


def within(value: object, *names: str) -> Any:
    """Return the value at a path of names, None if there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def mapping(value: object, *names: str) -> Mapping[str, Any]:
    """Return the object at a path, an empty one if there is none."""
    found = within(value, *names)
    return found if isinstance(found, dict) else {}


def items(value: object, *names: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of the list at a path."""
    found = within(value, *names)
    yield from (item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()


def text(value: object, *names: str) -> str:
    """Return the text at a path, an empty one if there is none."""
    found = within(value, *names)
    return found if type(found) is str else ""


def whole(quantity: object, unit: Decimal = ONE, *, up: bool = False) -> int | None:
    """Return a quantity in whole units, rounded down or up; None if it is malformed."""
    if isinstance(quantity, bool) or len(shown := str(quantity)) > _MAX_QUANTITY:
        return None
    value = amount(shown)
    if value is None:
        return None
    number, rest = divmod(value, unit) if value < MAX_INTEGER * unit else (Decimal(MAX_INTEGER), Decimal(0))
    return int(number) + (up and rest > 0)


def count(quantity: object) -> int:
    """Return a quantity of countable things, 0 if it is malformed."""
    return whole(quantity) or 0
