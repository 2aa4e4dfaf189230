"""Counts statements and round trips to PostgreSQL on the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

_STATEMENTS = b"EQ"  # Execute of the extended protocol, Query of the simple one
_HEADER = 5  # a type and a length, which includes itself but not the type


class Counter:
    """Statements and round trips since the last reset."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.reset()

    def reset(self) -> None:
        """Start counting at zero."""
        self.statements = 0
        self.round_trips = 0


class _Frontend:
    """Parses the messages of one client: they may arrive in pieces, and the first has no type."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._buffer = b"\0"
        self.waiting = False

    def feed(self, data: bytes) -> None:
        if not self.waiting:
            self.waiting = True
            self._counter.round_trips += 1
        self._buffer += data
        while len(self._buffer) >= _HEADER:
            end = 1 + int.from_bytes(self._buffer[1:_HEADER], "big")
            if len(self._buffer) < end:
                return
            self._counter.statements += self._buffer[:1] in _STATEMENTS
            self._buffer = self._buffer[end:]


@asynccontextmanager
async def counting(dsn: str) -> AsyncIterator[Counter]:
    """Relay connections to the server of `dsn`; clients use the counter's `dsn`."""
    address = urlsplit(dsn)
    path = f"{parse_qs(address.query)['host'][0]}/.s.PGSQL.5432"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(path)
        frontend = _Frontend(counter)

        async def answers() -> None:
            while data := await server_reader.read(65536):
                frontend.waiting = False
                writer.write(data)
            writer.close()

        answering = asyncio.create_task(answers())
        while data := await reader.read(65536):
            frontend.feed(data)
            server_writer.write(data)
        server_writer.close()
        await answering

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    counter = Counter(f"postgresql://{address.username}@127.0.0.1:{port}{address.path}?sslmode=disable")
    async with listener:
        yield counter
