"""Health endpoints and metrics."""

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import httpx
import pytest

from algoplatform.api.http import metrics
from tests.support.counting import counting
from tests.support.images import IMAGES, register
from tests.support.postgres import Postgres, execute
from tests.support.process import Service, served
from tests.support.service import serving, settings_for


async def test_ready(client: httpx.AsyncClient) -> None:
    """A live process with a current schema reports ready, to HEAD as well."""
    for path in ("/healthz", "/readyz"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        probed = await client.head(path)
        assert (probed.status_code, probed.content) == (200, b"")


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/x", "postgresql://u@/x?host=/nonexistent"])
async def test_database_away(url: str) -> None:
    """Without its database, the process is live but not ready, and still serves its metrics."""
    async with serving(settings_for(url, pool_timeout=1)) as client:
        assert (await client.get("/healthz")).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.headers["retry-after"]) == (503, "1")
        assert ready.json() == {"status": "unavailable", "reason": "database unreachable"}
        figures = (await client.get("/metrics")).text
        assert "algoplatform_database_up 0.0" in figures
        assert "algoplatform_images_live" not in figures
        answer = await client.get(f"{IMAGES}/_search")
        assert (answer.status_code, answer.json()["status"], answer.headers["retry-after"]) == (503, "-503", "1")


async def test_schema_of_an_older_version(database_url: str, client: httpx.AsyncClient) -> None:
    """An outdated schema makes the service not ready; the reason names the command to run."""
    execute(database_url, "UPDATE alembic_version SET version_num = '0001'")
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert "schema is at 0001" in ready.json()["reason"]
    assert "algoplatform migrate" in ready.json()["reason"]


async def test_schema_of_a_newer_version(database_url: str, client: httpx.AsyncClient) -> None:
    """A running service keeps serving after a migration for the next version: the two overlap for a while."""
    execute(database_url, "UPDATE alembic_version SET version_num = 'newer'")
    assert (await client.get("/readyz")).status_code == 200
    await register(client)


async def test_no_schema(postgres: Postgres) -> None:
    """With an empty database the service is not ready, and operations fail without revealing internals."""
    with postgres.database(migrated=False) as dsn:
        async with serving(settings_for(dsn)) as client:
            assert "schema is at nothing" in (await client.get("/readyz")).json()["reason"]


async def test_wrong_password(postgres: Postgres, database_url: str) -> None:
    """A database that rejects the connection counts as unreachable, not as an internal error."""
    refusing = database_url.replace("algoplatform@", "nobody_we_know@")
    assert refusing != database_url
    async with serving(settings_for(refusing)) as client:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get(f"{IMAGES}/_search")).json()["status"] == "-503"


async def test_figures(client: httpx.AsyncClient) -> None:
    """Request durations by route and status, pool usage, and the number of live images."""
    image_id = await register(client, "algo/a")
    await client.get(f"{IMAGES}/{image_id}")
    await client.get(f"{IMAGES}/{'0' * 32}")
    text = (await client.get("/metrics")).text
    route = 'method="GET",route="/algoPlatform/images/{imageId:imageId}"'
    for status in ("200", "404"):
        assert re.search(
            rf'^algoplatform_http_request_duration_seconds_count{{{re.escape(route)},status="{status}"}} ', text, re.M
        )
        assert f'algoplatform_http_request_duration_seconds_bucket{{le="0.1",{route},status="{status}"}}' in text
    assert "algoplatform_images_live 1.0" in text
    assert "algoplatform_database_up 1.0" in text
    for use in ("open", "idle", "max"):
        assert f"algoplatform_pool_connections_{use} " in text


async def test_many_who_ask_for_figures(database_url: str) -> None:
    """Under continuous scraping, images are counted once in ten seconds, and others are served."""
    async with counting(database_url) as counter, serving(settings_for(counter.dsn)) as client:
        image_id = await register(client, "algo/a")
        await client.get("/metrics")
        counter.reset()
        started = time.monotonic()
        pages = asyncio.gather(*(_ask_all_the_time(client) for _ in range(40)))
        slowest = 0.0
        while not pages.done():
            began = time.monotonic()
            assert (await client.get(f"{IMAGES}/{image_id}")).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            counter.statements -= 1
            await asyncio.sleep(0.01)
        assert set(await pages) == {200}
        assert counter.statements <= 1 + (time.monotonic() - started) / 10
        assert slowest < 5


async def _ask_all_the_time(client: httpx.AsyncClient) -> int:
    for _ in range(10):
        answer = await client.get("/metrics")
        assert "algoplatform_images_live 1.0" in answer.text
    return answer.status_code


def _pool_of(service: Service) -> dict[str, float]:
    found = re.findall(r"^algoplatform_pool_connections_(\w+) (\S+)$", service.get("/metrics").text, re.M)
    return {name: float(value) for name, value in found}


def _until(service: Service, most: float) -> None:
    deadline = time.monotonic() + 60
    while (found := _pool_of(service))["max"] != most:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


@pytest.mark.slow
def test_figures_of_all_workers(database_url: str) -> None:
    """Any worker reports the pool usage of all; a killed one no longer counts."""
    with served("--workers", "2", DATABASE_URL=database_url, POOL_SIZE="4") as service:
        _until(service, 8)
        before = _workers(service)
        os.kill(before[0], signal.SIGKILL)
        deadline = time.monotonic() + 60
        while len(after := _workers(service)) < 2 or before[0] in after:
            assert time.monotonic() < deadline, after
            time.sleep(0.1)
        # If the dead worker still counted, it would be twelve.
        _until(service, 8)


def _workers(service: Service) -> list[int]:
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_no_label_without_a_bound(client: httpx.AsyncClient) -> None:
    """The route and method labels have a fixed set of values, whatever is requested."""
    for path in ("/marker-1", "/algoPlatform/marker-2", f"{IMAGES}/marker-3", "/docs/assets/marker-4", "/%00marker-5"):
        await client.get(path)
        await client.request("PROPFIND", path)
    text = (await client.get("/metrics")).text
    assert "marker" not in text
    assert "PROPFIND" not in text
    assert 'method="other",route="unmatched",status="404"' in text


def test_figures_of_workers_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """With several workers, the metrics are those in their files plus the current gauges."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "to be restored")
    folder = metrics.prepare_multiprocess()
    assert metrics.render({"algoplatform_images_live": 3}).endswith(b"algoplatform_images_live 3.0\n")
    assert folder.is_dir()
