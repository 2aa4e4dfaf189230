"""Two workers without session affinity: each request goes to the other worker."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.console import inputs, replaced
from tests.support.identity import identity_provider
from tests.support.images import minimal
from tests.support.process import Service, served

pytestmark = pytest.mark.slow


def test_walk_of_two_workers(database_url: str) -> None:
    """Login, form, conflict, history, delete and import work although the workers alternate."""
    with identity_provider() as provider:
        settings = {name.upper(): str(value) for name, value in provider.settings.items()}
        with served("--workers", "2", DATABASE_URL=database_url, **settings) as service, _turns(service) as client:
            page = client.get("/console/images")
            assert (page.status_code, page.url.path) == (200, "/console/images")
            made = client.post("/console/images/new", data=minimal("algo/a", memRequests=1))
            assert "第 1 版" in made.text
            record = made.url.path
            first, second = client.get(f"{record}/edit").text, client.get(f"{record}/edit").text
            assert client.post(f"{record}/edit", data=_form(first, memRequests="2")).url.path == record
            told = client.post(f"{record}/edit", data=_form(second, memRequests="3", factory="y"))
            assert (told.status_code, "他人改为：2" in told.text) == (412, True)
            assert "第 3 版" in client.post(f"{record}/edit", data=dict(inputs(told.text))).text
            assert "第 4 版" in client.post(f"{record}/restore", data={"version": "1"}).text
            assert 'id="v4"' in client.get(f"{record}/history").text
            for dry_run, said in (("true", "尚未写入"), ("false", "已写入")):
                file = {"file": json.dumps([minimal("algo/b")]).encode()}
                assert said in client.post("/console/import", files=file, data={"dryRun": dry_run}).text
            assert "共 2 个镜像" in client.get("/console/images/count").text
            assert "撤销删除" in client.post(f"{record}/delete", data={}).text
            # All workers use the same version in the URLs of stylesheet and scripts.
            pages = [client.get("/console/images").text for _ in range(2)]
            assert len({text[text.index("/static/") :][:21] for text in pages}) == 1


def _form(page: str, **new: str) -> dict[str, Any]:
    return dict(replaced(inputs(page), **new))


@contextmanager
def _turns(service: Service) -> Iterator[httpx.Client]:
    """Yield a client whose requests alternate between the workers, by stopping the other one."""
    answering = 0

    def turn(request: httpx.Request) -> None:
        nonlocal answering
        # Find the workers each time, as the supervisor replaces one that was stopped for 5 s, e.g. during an import.
        workers = _workers(service)
        answering = next(worker for worker in workers if worker != answering)
        for worker in workers:
            _signal(worker, signal.SIGCONT if worker == answering else signal.SIGSTOP)

    limits = httpx.Limits(max_keepalive_connections=0)
    hooks = {"request": [turn]}
    try:
        with httpx.Client(
            base_url=service.url, follow_redirects=True, timeout=120, limits=limits, event_hooks=hooks
        ) as client:
            yield client
    finally:
        for worker in _workers(service):
            _signal(worker, signal.SIGCONT)


def _signal(worker: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(worker, number)


def _workers(service: Service) -> list[int]:
    deadline = time.monotonic() + 60
    while True:
        children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
        workers = [int(pid) for pid in children if _is_worker(pid)]
        if len(workers) == 2:
            return workers
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _is_worker(pid: str) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
