"""Prometheus metrics; several workers keep them in files, which are summed up on each scrape."""

import asyncio
import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX: Final = "algoplatform-metrics-"
_WRITER: Final = re.compile(r"_([0-9]+)\.db")
_LABELS: Final = ("method", "route", "status")
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
# Maximum age, in seconds, of the pool gauges of those workers that do not serve the scrape.
_PUBLISHED_SECONDS: Final = 1
_USES: Final = {"open": "open connections", "idle": "idle connections", "max": "maximum of connections"}


@cache
def _family() -> tuple[CollectorRegistry, Histogram]:
    registry = CollectorRegistry()
    seconds = Histogram(
        "algoplatform_http_request_duration_seconds",
        "Seconds from the arrival of an HTTP request to the end of its response",
        _LABELS,
        buckets=_BUCKETS,
        registry=registry,
    )
    return registry, seconds


@cache
def _pool() -> dict[str, Gauge]:
    gauge = partial(Gauge, registry=_family()[0], multiprocess_mode="livesum")
    return {
        use: gauge(f"algoplatform_pool_connections_{use}", f"{text} to PostgreSQL, summed over workers")
        for use, text in _USES.items()
    }


def publish(usage: Mapping[str, int]) -> None:
    for use, gauge in _pool().items():
        gauge.set(usage[use])


@contextmanager
def publishing(usage: Callable[[], Mapping[str, int]]) -> Iterator[None]:
    """Publish the pool gauges every second if there are several workers, as any of them may serve the scrape."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def again() -> None:
        nonlocal timer
        timer = loop.call_later(_PUBLISHED_SECONDS, again)
        publish(usage())

    if _MULTIPROCESS in os.environ:
        again()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


# Unbounded, but small: the keys are our routes, the known methods and the HTTP status codes.
@cache
def observer(method: str, route: str, status: int) -> Callable[[float], None]:
    """Return a function that counts a request by its duration in seconds."""
    return _family()[1].labels(method, route, str(status)).observe


class _Gauges(Collector):
    """Gauges whose values are read at scrape time."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self._values = values

    def collect(self) -> Iterable[Metric]:
        for name, value in self._values.items():
            yield GaugeMetricFamily(name, name.removeprefix("algoplatform_").replace("_", " "), value)


def prepare_multiprocess() -> Path:
    """Create the workers' folder for metrics before they start; it is removed when this process exits."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    os.environ[_MULTIPROCESS] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def render(gauges: Mapping[str, float]) -> bytes:
    """Return all metrics, and these gauges, in Prometheus's text format."""
    registry = _family()[0]
    if _MULTIPROCESS in os.environ:
        _forget_the_dead(Path(os.environ[_MULTIPROCESS]))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library is untyped here
    return generate_latest(registry) + generate_latest(_Gauges(gauges))


def _forget_the_dead(folder: Path) -> None:
    for pid in writers(path.name for path in folder.glob("gauge_live*_*.db")):
        if not is_alive(pid):
            multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # as above


def writers(names: Iterable[str]) -> list[int]:
    """Return the pids of the workers that wrote these files."""
    return [int(found[1]) for name in names if (found := _WRITER.search(name))]


def is_alive(pid: int) -> bool:
    """Return whether a process of this user has the pid."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
