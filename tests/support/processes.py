"""The service in a process of its own with several workers, as in production."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.images import IMAGES

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Service:
    """A running service: its URL and the started process."""

    url: str
    pid: int

    def client(self) -> httpx.AsyncClient:
        """Return a client without a connection limit."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(base_url=self.url, timeout=600, limits=limits)

    def pids(self) -> list[int]:
        """Return the pids of the started process and its workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def reset_peak(self) -> None:
        """Reset the peak of resident memory to the current value."""
        for pid in self.pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """Return the peak of resident memory since then, in bytes, summed over all processes."""
        status = (Path(f"/proc/{pid}/status").read_text() for pid in self.pids())
        return sum(int(found[1]) * 1024 for found in map(_PEAK.search, status) if found)


def free_port() -> int:
    """Return a port on which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@asynccontextmanager
async def service(database_url: str, workers: int = 1) -> AsyncIterator[Service]:
    """Run `algoplatform serve` on a database for the duration of the test; it must stop when asked."""
    port = free_port()
    command = [sys.executable, "-m", "algoplatform", "serve", "--port", str(port), "--workers", str(workers)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ALGOPLATFORM_", "COV_"))}
    environment |= {"ALGOPLATFORM_DATABASE_URL": database_url, "ALGOPLATFORM_LOG_LEVEL": "warning"}
    with tempfile.TemporaryFile() as log:
        process = await asyncio.to_thread(subprocess.Popen, command, env=environment, stdout=log, stderr=log)
        try:
            running = Service(f"http://127.0.0.1:{port}", process.pid)
            await _wait_until_ready(running, process)
            yield running
            process.send_signal(signal.SIGTERM)
            # Without workers uvicorn shuts down cleanly and then raises the signal again.
            assert await asyncio.to_thread(process.wait, 120) in (0, -signal.SIGTERM)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-5000:])
            raise
        finally:
            process.kill()
            process.wait()


async def _wait_until_ready(running: Service, process: subprocess.Popen[bytes]) -> None:
    async with running.client() as client:
        for _ in range(2400):
            assert process.poll() is None, f"the service ended with {process.returncode}"
            with suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == 200 and await client.get(IMAGES + "/_search"):
                    return
            await asyncio.sleep(0.05)
    raise AssertionError("the service did not start")
