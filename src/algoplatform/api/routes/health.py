"""Endpoints for operators and probes: liveness, readiness, metrics."""

import asyncio
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algoplatform.api.http import metrics
from algoplatform.domain.errors import Busy, Unavailable
from algoplatform.runtime import Runtime
from algoplatform.storage.postgres.batching import Gathering

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
        self._pages = Gathering(self._written)
        self._last = float("-inf")

    async def page(self, runtime: Runtime) -> bytes:
        """Return metrics rendered after this call."""
        return await self._pages.ask(runtime)

    async def _written(self, asking: list[Runtime]) -> list[bytes]:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._last + _PAGE_SECONDS - loop.time())
        runtime = asking[0]
        gauges = await _database_gauges(runtime)
        metrics.publish(runtime.database.usage())
        page = metrics.render(gauges)
        self._last = loop.time()
        return [page] * len(asking)


async def _database_gauges(runtime: Runtime) -> dict[str, float]:
    try:
        live = float(await runtime.live_count.recent())
    except Busy:
        return {"algoplatform_database_up": 1.0}
    except Unavailable:
        return {"algoplatform_database_up": 0.0}
    return {"algoplatform_images_live": live, "algoplatform_database_up": 1.0}
