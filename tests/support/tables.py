"""Reads tables printed on a terminal."""

import re


def cells(output: str) -> list[list[str]]:
    """Return the cells of a table, joining the lines that were wrapped."""
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
