"""Reads parts of Kubernetes objects that come from outside, where any part may be absent or of any type."""

from collections.abc import Iterator
from typing import Any


def within(value: object, *names: str) -> Any:
    """Return the value at a path of names, None if there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def mapping(value: object, *names: str) -> dict[str, Any]:
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
