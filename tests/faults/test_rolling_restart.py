"""Two services behind nginx, restarted one after the other under load: clients see no failure."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.faults.report import Report
from tests.support.images import IMAGES, minimal
from tests.support.process import Service, served
from tests.support.programs import ROOT, free_port, needs, running

pytestmark = [pytest.mark.slow, needs("nginx")]


class Front:
    """nginx with the shipped configuration, without its gateway part, in front of two services."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.port = free_port()
        self.folder = folder
        self._ports = ports
        self._upstreams = folder / "upstreams.conf"
        self.configuration = folder / "nginx.conf"
        self._leave_out(None)
        self.configuration.write_text(self._configured((ROOT / "deploy/nginx/nginx.conf").read_text()))

    @property
    def command(self) -> list[str | Path]:
        """The command that starts nginx."""
        user = "user root;" if os.geteuid() == 0 else ""
        options = f"daemon off; pid {self.folder}/pid; error_log stderr; {user}"
        return ["nginx", "-p", self.folder, "-c", self.configuration, "-g", options]

    async def without(self, port: int | None) -> None:
        """Take one service out of rotation, and wait until it has answered its current requests."""
        master = int((self.folder / "pid").read_text())
        old = _children(master)
        self._leave_out(port)
        os.kill(master, signal.SIGHUP)
        async with asyncio.timeout(120):
            while old & _children(master):  # noqa: ASYNC110 - another process has no event to wait for
                await asyncio.sleep(0.02)

    def _leave_out(self, port: int | None) -> None:
        lines = [f"server 127.0.0.1:{known} max_fails=0{' down' if known == port else ''};" for known in self._ports]
        self._upstreams.write_text("\n".join(lines))

    def _configured(self, text: str) -> str:
        places = "".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi"))
        places += f"uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;"
        for ours, theirs in {
            "server algoplatform:8000 max_fails=0;": f"include {self._upstreams};",
            "auth_request /_authenticate; # gateway": "",
            "identity:9000": "127.0.0.1:9",
            "listen 8080": f"listen 127.0.0.1:{self.port}",
            "http {\n": f"http {{\n{places}\n",
        }.items():
            assert ours in text
            text = text.replace(ours, theirs)
        return text


def _children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


class Pair:
    """Two services on one database."""

    def __init__(self, stack: ExitStack, database_url: str, ports: list[int]) -> None:
        self._stack = stack
        self._database_url = database_url
        self._services = {port: self._start(port) for port in ports}

    def restart(self, port: int) -> None:
        """Stop a service as an operator does, and start it again."""
        assert self._services[port].stop() == 0
        self._services[port] = self._start(port)

    def _start(self, port: int) -> Service:
        given = {"DATABASE_URL": self._database_url, "LOG_LEVEL": "warning"}
        service = self._stack.enter_context(served("--port", str(port), **given))
        assert service.get("/readyz").status_code == 200
        return service


async def use(url: str, number: int, stop: asyncio.Event) -> Counter[str]:
    """Search and register through nginx, each on a new connection; return the counted results."""
    seen: Counter[str] = Counter()
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        while not stop.is_set():
            name = f"r{number}-{seen.total()}"
            for method, path, body in (
                ("GET", f"_search?searchCondition={name}", None),
                ("POST", "_register", minimal(f"algo/{name}")),
            ):
                try:
                    answer = await client.request(method, f"{IMAGES}/{path}", json=body)
                    seen[method if answer.status_code == 200 else f"failed: {answer.status_code} {answer.text}"] += 1
                except httpx.TransportError as error:
                    seen[f"failed: {error!r}"] += 1
    return seen


@pytest.fixture
def front(tmp_path: Path) -> Iterator[tuple[Front, list[int]]]:
    """nginx, and the ports of its upstreams."""
    ports = [free_port(), free_port()]
    front = Front(tmp_path, ports)
    with running(front.command, front.port, tmp_path / "log"):
        yield front, ports


async def test_rolling_restart(
    front: tuple[Front, list[int]], database_url: str, report: Report, scale: Callable[[int, int], int]
) -> None:
    """Each service in turn is taken out of nginx, restarted and put back: no request fails."""
    nginx, ports = front
    rounds, stop = scale(1, 10), asyncio.Event()
    with ExitStack() as stack:
        pair = await asyncio.to_thread(Pair, stack, database_url, ports)
        users = [asyncio.create_task(use(f"http://127.0.0.1:{nginx.port}", number, stop)) for number in range(6)]
        began = time.monotonic()
        for _ in range(rounds):
            for port in ports:
                await nginx.without(port)
                await asyncio.to_thread(pair.restart, port)
                await nginx.without(None)
        stop.set()
        seen = sum(await asyncio.gather(*users), Counter[str]())
        seconds = time.monotonic() - began
    failed = {what: count for what, count in seen.items() if what.startswith("failed")}
    report.row(
        "Rolling restart behind nginx",
        restarts=2 * rounds,
        GET=seen["GET"],
        POST=seen["POST"],
        a_second=round(seen.total() / seconds),
        failed=sum(failed.values()),
    )
    assert failed == {}
    assert min(seen["GET"], seen["POST"]) >= 10
