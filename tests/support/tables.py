"""Tables on a terminal, read back."""

import re


def cells(output: str) -> list[list[str]]:
    """Put the cells of a table together again, which the terminal's width has folded."""
    found: list[list[str]] = []
    fresh = True
    for line in output.splitlines():
        if not line.startswith(("│", "┃")):
            fresh = True
            continue
        parts = [part.strip() for part in re.split("[│┃]", line)[1:-1]]
        if fresh:
            found.append(parts)
        else:
            found[-1] = [before + more for before, more in zip(found[-1], parts, strict=True)]
        fresh = False
    return found
