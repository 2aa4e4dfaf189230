"""Endpoints for operators and probes: liveness, readiness, metrics."""

import asyncio
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algoplatform.api.http import metrics
from algoplatform.domain.errors import Busy, Unavailable
from algoplatform.runtime import Runtime

# Minimum seconds between two renderings of the metrics: each blocks the event loop for some milliseconds.
_PAGE_SECONDS: Final = 0.05

router = APIRouter(include_in_schema=False)


@router.head("/healthz")
@router.get("/healthz")
async def healthz() -> Response:
    """Return 200 while the process responds."""
    return JSONResponse({"status": "ok"})


@router.head("/readyz")
@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Return 200 if the database is reachable and has the schema that this version needs, else 503."""
    runtime: Runtime = request.state.runtime
    problem = await runtime.readiness()
    if problem:
        return JSONResponse({"status": "unavailable", "reason": problem}, 503, {"retry-after": "1"})
    return JSONResponse({"status": "ok"})


@router.head("/metrics")
@router.get("/metrics")
async def metrics_page(request: Request) -> Response:
    """Return the Prometheus metrics; the database's are omitted while it is unreachable."""
    figures: Figures = request.app.state.figures
    page = await figures.page(request.state.runtime)
    return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")


class Figures:
    """Renders metrics; concurrent scrapes share one rendering, begun after all of them arrived."""

    def __init__(self) -> None:
        self._rendering = asyncio.Lock()
        self._page = b""
        self._begun = self._ended = float("-inf")

    async def page(self, runtime: Runtime) -> bytes:
        """Return metrics rendered after this call."""
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        async with self._rendering:
            if self._begun <= arrived:
                await asyncio.sleep(self._ended + _PAGE_SECONDS - loop.time())
                self._begun = loop.time()
                gauges = await _database_gauges(runtime)
                metrics.publish(runtime.database.usage())
                self._page = metrics.render(gauges)
                self._ended = loop.time()
            return self._page


async def _database_gauges(runtime: Runtime) -> dict[str, float]:
    try:
        live = float(await runtime.count_live())
    except Busy:
        return {"algoplatform_database_up": 1.0}
    except Unavailable:
        return {"algoplatform_database_up": 0.0}
    return {"algoplatform_images_live": live, "algoplatform_database_up": 1.0}
