"""Figures for Prometheus; with several workers they are kept in files and added up when asked for."""

import asyncio
import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_LABELS: Final = ("method", "route", "status")
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
# How old the pool's figures of the workers that are not asked may be.
_PUBLISHED_SECONDS: Final = 1
_USES: Final = {
    "open": "connections to PostgreSQL that are open, over all workers",
    "idle": "of these, the ones that nobody uses",
    "max": "connections to PostgreSQL at most, over all workers",
}


@cache
def _family() -> tuple[CollectorRegistry, Histogram]:
    registry = CollectorRegistry()
    seconds = Histogram(
        "algoplatform_http_request_duration_seconds",
        "HTTP requests answered, and seconds to the end of the answer",
        _LABELS,
        buckets=_BUCKETS,
        registry=registry,
    )
    return registry, seconds


@cache
def _pool() -> dict[str, Gauge]:
    # Summed over the workers that live.
    return {
        use: Gauge(f"algoplatform_pool_connections_{use}", text, registry=_family()[0], multiprocess_mode="livesum")
        for use, text in _USES.items()
    }


def publish(usage: Mapping[str, int]) -> None:
    """Note how this worker's pool is used."""
    for use, gauge in _pool().items():
        gauge.set(usage[use])


@contextmanager
def publishing(usage: Callable[[], Mapping[str, int]]) -> Iterator[None]:
    """Note that every second, where another worker may be the one that is asked."""
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


# Without a bound: its keys are our routes, the known methods and HTTP's status codes.
@cache
def observer(method: str, route: str, status: int) -> Callable[[float], None]:
    """Give what counts a request by the seconds that it took."""
    return _family()[1].labels(method, route, str(status)).observe


class _Gauges(Collector):
    """Values that are read when Prometheus asks."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self._values = values

    def collect(self) -> Iterable[Metric]:
        """Give each value as a gauge."""
        for name, value in self._values.items():
            yield GaugeMetricFamily(name, name.removeprefix("algoplatform_").replace("_", " "), value)


def prepare_multiprocess() -> Path:
    """Give the workers that are about to start one folder for their figures, which goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="algoplatform-metrics-"))
    os.environ[_MULTIPROCESS] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def render(gauges: Mapping[str, float]) -> bytes:
    """Write all figures, and these gauges, in Prometheus's text format."""
    own = CollectorRegistry()
    own.register(_Gauges(gauges))
    registry = _family()[0]
    if _MULTIPROCESS in os.environ:
        _forget_the_dead(Path(os.environ[_MULTIPROCESS]))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types here
    return generate_latest(registry) + generate_latest(own)


def _forget_the_dead(folder: Path) -> None:
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # as above
        except PermissionError:
            pass
