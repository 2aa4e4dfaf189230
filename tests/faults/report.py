"""The harness's results as tables for docs/reliability.md."""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

_PLACE = re.compile(r"(<!-- tables: .*? -->\n).*?(<!-- end of tables -->)", re.DOTALL)


def is_full() -> bool:
    """Return whether the full form was requested; every test run includes the short form."""
    return os.environ.get("ALGOPLATFORM_FAULTS") == "full"


class Report:
    """Rows by table, in order of insertion."""

    def __init__(self) -> None:
        self._tables: dict[str, list[dict[str, str]]] = {}

    def row(self, table: str, **cells: object) -> None:
        """Add a row; cells are named after the table's columns, with underscores for spaces."""
        self._tables.setdefault(table, []).append(
            {name.replace("_", " "): _shown(cell) for name, cell in cells.items()}
        )

    def markdown(self) -> str:
        """Return all tables below a line with machine and date; empty if nothing ran."""
        if not self._tables:
            return ""
        cores = len(os.sched_getaffinity(0))
        machine = f"{platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}"
        parts = [f"{'Full' if is_full() else 'Short'} form, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine}."]
        for table, rows in self._tables.items():
            lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
            parts.append(f"### {table}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
        return "\n\n".join(parts) + "\n"


def put(document: Path, tables: str) -> None:
    """Replace the tables of a document."""
    text = document.read_text("utf-8")
    document.write_text(_PLACE.sub(lambda place: f"{place[1]}\n{tables}\n{place[2]}", text), "utf-8")


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.1f}" if cell >= 100 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
