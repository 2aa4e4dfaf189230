"""Results of benchmarks: a table for people, JSON for programs."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from rich.console import Console
from rich.table import Table

Bound = Literal["at least", "at most"]
_NOTHING: Final = "-"


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on the ratio or, without a floor, on the figure itself."""

    bound: Bound
    value: float
    of: Literal["ratio", "figure"] = "ratio"

    def met(self, value: float) -> bool:
        """Return whether a value is within the bound."""
        return value >= self.value if self.bound == "at least" else value <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.bound == 'at least' else '≤'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table; `spread` holds the ratio of each round."""

    name: str
    unit: str
    figure: float
    floor: float | None = None
    ratio: float | None = None
    goal: Goal | None = None
    note: str = ""
    spread: tuple[float, ...] = ()

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met; None without a goal."""
        value = self.figure if self.goal and self.goal.of == "figure" else self.ratio
        return None if self.goal is None or value is None else self.goal.met(value)


def compared(
    name: str, unit: str, figures: Sequence[float], floors: Sequence[float], goal: Goal | None, note: str = ""
) -> Result:
    """Compare two series: the medians of both, and the median of the ratios of each round."""
    ratios = tuple(figure / floor for figure, floor in zip(figures, floors, strict=True))
    middle = statistics.median
    return Result(name, unit, middle(figures), middle(floors), middle(ratios), goal, note, ratios)


def table(results: Sequence[Result]) -> Table:
    """Return the results as a table."""
    shown = Table(title="algoplatform beside its floors")
    for heading in ("work", "figure", "floor", "ratio", "goal", "met", "note"):
        shown.add_column(heading, justify="left" if heading in ("work", "note") else "right", overflow="fold")
    for result in results:
        unit = f" {result.unit}"
        shown.add_row(
            result.name,
            _number(result.figure) + unit,
            _NOTHING if result.floor is None else _number(result.floor) + unit,
            _NOTHING if result.ratio is None else f"{result.ratio:.2f}",
            _NOTHING if result.goal is None else f"{result.goal}{unit if result.goal.of == 'figure' else ''}",
            {True: "yes", False: "[bold red]no", None: ""}[result.met],
            result.note,
        )
    return shown


def show(results: Sequence[Result]) -> None:
    """Print the table, at full width unless a terminal limits it."""
    Console(width=None if os.isatty(1) else 180).print(table(results))


def write_json(path: Path, results: Sequence[Result], plan: dict[str, Any]) -> None:
    """Write all results to a file, with the ratios of each round."""
    rows = [asdict(result) | {"met": result.met} for result in results]
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "plan": plan, "results": rows}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")


def machine() -> dict[str, str | int]:
    """Describe the machine of this run."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": models[0].partition(": ")[2] if models else platform.machine(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(memory / 1024**3),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
