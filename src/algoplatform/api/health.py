"""What operators and their probes ask: does the process live, can it serve, how does it do."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algoplatform.api import metrics
from algoplatform.domain.errors import Busy, Unavailable
from algoplatform.runtime import Runtime

router = APIRouter(include_in_schema=False)


@router.head("/healthz")
@router.get("/healthz")
async def healthz() -> Response:
    """Tell that the process answers."""
    return JSONResponse({"status": "ok"})


@router.head("/readyz")
@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Tell whether the database is reachable and its schema the one that this version needs."""
    runtime: Runtime = request.state.runtime
    problem = await runtime.readiness()
    if problem:
        return JSONResponse({"status": "unavailable", "reason": problem}, 503, {"retry-after": "1"})
    return JSONResponse({"status": "ok"})


@router.head("/metrics")
@router.get("/metrics")
async def metrics_page(request: Request) -> Response:
    """Give Prometheus its figures; those of the database are left out while it cannot be asked."""
    runtime: Runtime = request.state.runtime
    gauges = {f"algoplatform_pool_connections_{name}": float(value) for name, value in runtime.database.usage().items()}
    return Response(
        metrics.render(gauges | await _database_gauges(runtime)), media_type="text/plain; version=0.0.4; charset=utf-8"
    )


async def _database_gauges(runtime: Runtime) -> dict[str, float]:
    try:
        live = float(await runtime.count_live())
    except Busy:
        return {"algoplatform_database_up": 1.0}
    except Unavailable:
        return {"algoplatform_database_up": 0.0}
    return {"algoplatform_images_live": live, "algoplatform_database_up": 1.0}
