"""A relay to PostgreSQL that can go silent: it closes nothing and forwards nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

_CHUNK = 65536


class Way:
    """A relay between clients and the server; its URL is `dsn`."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.opened = 0
        self._lines: list[asyncio.Event] = []
        self._takes_new = True
        self._left: float | None = None

    def freeze(self, *, also_new: bool = False) -> None:
        """Stop forwarding on open connections, and with `also_new` on new ones."""
        for line in self._lines:
            line.clear()
        self._takes_new = not also_new

    def freeze_after(self, size: int) -> None:
        """Freeze the open connections after this many more bytes in either direction."""
        self._left = size

    def thaw(self) -> None:
        """Resume forwarding."""
        self._takes_new = True
        for line in self._lines:
            line.set()

    def line(self) -> asyncio.Event:
        """Register a connection."""
        self.opened += 1
        line = asyncio.Event()
        if self._takes_new:
            line.set()
        self._lines.append(line)
        return line

    def passed(self, size: int) -> None:
        """Count forwarded bytes."""
        if self._left is not None:
            self._left -= size
            if self._left <= 0:
                self._left = None
                self.freeze()


async def _pass(way: Way, line: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                await line.wait()
                writer.write(data)
                await writer.drain()
                way.passed(len(data))
        await line.wait()
    finally:
        writer.close()


@asynccontextmanager
async def freezing(dsn: str) -> AsyncIterator[Way]:
    """Run a relay to the server of `dsn`, on a Unix or TCP socket."""
    address = urlsplit(dsn)
    folder = parse_qs(address.query).get("host")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = way.line()
        if folder:
            server = await asyncio.open_unix_connection(f"{folder[0]}/.s.PGSQL.5432")
        else:
            server = await asyncio.open_connection(address.hostname, address.port)
        for source, target in ((reader, server[1]), (server[0], writer)):
            task = asyncio.create_task(_pass(way, line, source, target))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    way = Way(f"postgresql://{address.username}@127.0.0.1:{port}{address.path}?sslmode=disable")
    try:
        yield way
    finally:
        listener.close()
        way.thaw()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # The event loop closes the sockets in its next iteration.
        await asyncio.sleep(0)
