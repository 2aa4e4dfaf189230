"""What a grammar says of text."""

from collections.abc import Callable

from algoplatform.domain.errors import Malformed


def faults_of(parse: Callable[[str], object], text: str) -> list[str]:
    """Every fault that `parse` finds; none when it accepts the text."""
    try:
        parse(text)
    except Malformed as error:
        return list(error.faults)
    return []
