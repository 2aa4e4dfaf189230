"""The real service on a real socket, in the test's event loop so that coverage and debuggers see it."""

import asyncio
import itertools
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from algoplatform.api.server.options import server_options
from algoplatform.console.mount import create_app
from algoplatform.settings import Settings

# As uvicorn calls it; uvicorn's own type is stricter than Starlette's.
App = Callable[[Any, Any, Any], Awaitable[None]]
Proxy = Callable[[App], App]
# The service speaks no TLS, and reading the machine's certificates takes 20 ms per client.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Server(uvicorn.Server):
    """uvicorn's server, which ends without delay: its own looks every 100 ms if it should, and then waits as long.

    Most tests start a server of their own.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()

    def end(self) -> None:
        """End soon."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        """Update the Date header, until the server should end."""
        for tick in itertools.count():
            if await self.on_tick(tick):
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down as uvicorn does, but without its wait if no client is connected."""
        # The server has yet to notice which clients have closed their connections.
        await asyncio.sleep(0.01)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
            await server.wait_closed()
        await self.lifespan.shutdown()


def settings_for(database_url: str, **given: Any) -> Settings:
    """Return settings for a test's own database."""
    return Settings(database_url=SecretStr(database_url), **given)


@asynccontextmanager
async def serving(settings: Settings, proxy: Proxy | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Serve for the duration of the test, behind a `proxy` if given; yield a client."""
    app = create_app(settings)
    async with (
        listening(proxy(app) if proxy else app, lifespan="on", **server_options(settings)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=240, verify=NO_TLS) as client,
    ):
        yield client


@asynccontextmanager
async def listening(app: App, **options: Any) -> AsyncIterator[int]:
    """Serve an application on a free port, with uvicorn's options; yield the port."""
    # IPPROTO_TCP makes asyncio set TCP_NODELAY: otherwise each response waits 40 ms for the client's ACK.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        server = _Server(uvicorn.Config(app, loop="asyncio", **{"log_config": None, **options}))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                if task.done():
                    task.result()
                    raise RuntimeError("the service did not start")
                await asyncio.sleep(0.005)
            yield port
        finally:
            server.end()
            await task


@contextmanager
def serving_in_background(settings: Settings, proxy: Proxy | None = None) -> Iterator[str]:
    """Serve in a thread, for clients that block; yield the URL."""
    ready: Future[str] = Future()
    done = threading.Event()

    async def serve() -> None:
        async with serving(settings, proxy) as client:
            ready.set_result(str(client.base_url))
            await asyncio.to_thread(done.wait)

    def failed(ended: Future[None]) -> None:
        if not ready.done():
            ready.set_exception(ended.exception() or RuntimeError("the service did not start"))

    with ThreadPoolExecutor(1, "service") as pool:
        running = pool.submit(asyncio.run, serve())
        running.add_done_callback(failed)
        try:
            yield ready.result().rstrip("/")
        finally:
            done.set()
        running.result()
