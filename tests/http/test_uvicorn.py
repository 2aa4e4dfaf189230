"""What `api/server` uses of uvicorn's protocol: this test fails first, with a clear message, at another version."""

import asyncio
import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from packaging.requirements import Requirement
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
METHODS = {
    "connection_made": ["transport"],
    "connection_lost": ["exc"],
    "data_received": ["data"],
    "shutdown": [],
    "on_headers_complete": [],
    "on_body": ["body"],
    "on_message_complete": [],
    "send_400_response": ["msg"],
    "pause_writing": [],
    "resume_writing": [],
}
ATTRIBUTES = (
    "loop",
    "transport",
    "flow",
    "cycle",
    "parser",
    "scope",
    "headers",
    "url",
    "client",
    "expect_100_continue",
)
OF_A_CYCLE = (
    "more_body",
    "response_complete",
    "keep_alive",
    "message_event",
    "transport",
    "chunked_encoding",
    "expected_content_length",
)


def changed(what: str) -> str:
    """Return the message of a failure."""
    return f"uvicorn {version('uvicorn')} {what}: adapt api/server and the pin of uvicorn (decision 044)"


class _Transport(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        """Store the data."""
        self.written += data

    def is_closing(self) -> bool:
        """Return False: the transport is never closing."""
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return None: the peer is unknown."""
        return default

    def close(self) -> None:
        """Do nothing."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


async def _connected() -> tuple[HttpToolsProtocol, _Transport]:
    """Return uvicorn's own protocol, in the middle of a request's body."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    protocol = HttpToolsProtocol(uvicorn.Config(app, log_config=None, lifespan="off"), ServerState(), {})
    transport = _Transport()
    protocol.connection_made(transport)
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
    return protocol, transport


def test_the_installed_version_is_the_pinned_one() -> None:
    """pyproject.toml allows one minor version, which is the one installed."""
    given = map(Requirement, tomllib.loads(PROJECT.read_text())["project"]["dependencies"])
    [pinned] = [requirement for requirement in given if requirement.name == "uvicorn"]
    major, minor = version("uvicorn").split(".")[:2]
    assert version("uvicorn") in pinned.specifier, changed(f"is not {pinned}")
    assert not pinned.specifier.contains(f"{major}.{int(minor) + 1}.0"), "pin uvicorn's minor version"


@pytest.mark.parametrize("name", METHODS)
def test_methods(name: str) -> None:
    """The methods that the service overrides or calls have the expected parameters."""
    method = getattr(HttpToolsProtocol, name, None)
    assert method is not None, changed(f"has no {name}()")
    assert list(inspect.signature(method).parameters)[1:] == METHODS[name], changed(f"gives {name}() other arguments")


async def test_attributes() -> None:
    """A connection in the middle of a body, and its cycle, have the attributes that the service uses."""
    protocol, _ = await _connected()
    assert [name for name in ATTRIBUTES if not hasattr(protocol, name)] == [], changed("lacks attributes")
    assert [name for name in OF_A_CYCLE if not hasattr(protocol.cycle, name)] == [], changed("lacks attributes")
    assert [name for name in ("read_paused", "pause_reading", "resume_reading") if not hasattr(FlowControl, name)] in (
        [],
        ["read_paused"],  # set by __init__
    ), changed("has another FlowControl")
    assert isinstance(protocol.flow, FlowControl), changed("has another flow")
    assert hasattr(protocol.flow, "read_paused"), changed("has no flow.read_paused")
    cycle = protocol.cycle
    assert (cycle.more_body, cycle.response_complete, cycle.chunked_encoding) == (True, False, None), changed(
        "has another meaning for a cycle's state"
    )
    assert protocol.headers is protocol.scope["headers"], changed("copies the headers")
    protocol.data_received(b"b")
    assert not cycle.more_body, changed("does not end a body")


async def test_a_cycle_sends_through_its_transport() -> None:
    """A cycle writes to its current transport, and does not change an unframed body."""
    protocol, first = await _connected()
    second = _Transport()
    protocol.cycle.transport = second
    protocol.cycle.chunked_encoding = False
    protocol.data_received(b"b")
    async with asyncio.timeout(60):
        while not protocol.cycle.response_complete:  # noqa: ASYNC110 - the cycle has no event for its end
            await asyncio.sleep(0.001)
    assert (first.written, second.written[:15]) == (b"", b"HTTP/1.1 200 OK"), changed("keeps a transport of its own")
    assert b"chunked" not in second.written, changed("decides about chunks by itself")
    protocol.connection_lost(None)
