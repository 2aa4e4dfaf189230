"""The benchmarks by their names in `./dev bench`."""

from collections.abc import Callable

from benchmarks.results import Result
from benchmarks.session import Session
from benchmarks.suites import (
    console,
    depending,
    graphs,
    linting,
    planning,
    processes,
    rendering,
    searching,
    transferring,
    verifying,
    writing,
)

Benchmark = Callable[[Session], list[Result]]

BENCHMARKS: dict[str, Benchmark] = {
    "search": searching.search,
    "register": writing.register,
    "update": writing.update,
    "fresh": depending.fresh,
    "shared": depending.shared,
    "workers": processes.workers,
    "start": processes.start,
    "upload": transferring.upload,
    "search-large": searching.search_large,
    "search-filters": searching.search_filters,
    "load": transferring.load,
    "render": rendering.rendering,
    "graph": graphs.graph,
    "lint": linting.lint,
    "plan": planning.planning,
    "verify": verifying.verify,
    "console": console.console,
}
