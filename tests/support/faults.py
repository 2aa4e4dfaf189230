"""Faults that a grammar finds in a text."""

from collections.abc import Callable

from algoplatform.domain.errors import Malformed


def faults_of(parse: Callable[[str], object], text: str) -> list[str]:
    """Return all faults that `parse` finds; none if it accepts the text."""
    try:
        parse(text)
    except Malformed as error:
        return list(error.faults)
    return []
