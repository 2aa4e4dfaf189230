"""The real service on a real socket, in the test's own event loop so that coverage and debuggers see it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from algoplatform.api.app import create_app
from algoplatform.api.protocol import server_options
from algoplatform.settings import Settings


def settings_for(database_url: str, **given: Any) -> Settings:
    """Make settings for a test's own database."""
    return Settings(database_url=SecretStr(database_url), **given)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Serve until the test is done with the client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(create_app(settings), loop="asyncio", lifespan="on", **server_options(settings))
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                if task.done():
                    task.result()
                    raise RuntimeError("the service did not start")
                await asyncio.sleep(0.005)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            await task
