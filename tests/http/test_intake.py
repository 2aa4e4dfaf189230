"""Budgets for request bodies: active senders take precedence over stalled ones."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from algoplatform.api.http.errors import install_handlers
from algoplatform.api.http.intake import Intake, Reception
from algoplatform.api.http.request import read_json_text, read_large_json_text
from algoplatform.api.routes.operation import image_router
from algoplatform.domain.errors import TooManyRequests
from tests.support.images import IMAGES, minimal, upload
from tests.support.raw import connected, post
from tests.support.service import serving, settings_for

KIB = 1024
MIB = 1024 * KIB


def form(length: int) -> bytes:
    """Return the head of an upload with this length, and the form's beginning."""
    head = post(f"{IMAGES}/_upload", f"Content-Length: {length}")
    part = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    return head.replace(b"application/json", b"multipart/form-data; boundary=b") + part


async def test_uploads_that_stall_give_way(database_url: str) -> None:
    """Stalled clients that use up the budget lose it to an active one."""
    given: dict[str, Any] = {"max_uploads": 2, "max_upload_bytes": 2 * MIB}
    async with serving(settings_for(database_url, **given)) as client, AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(connected(client)) for _ in range(3)]
        for each in slow:
            await each.send(form(2 * MIB - 1), b" " * (1200 * KIB))
        waiting = [asyncio.create_task(each.answer()) for each in slow]
        await asyncio.sleep(1.5)
        many = [minimal(f"algo/a{number}", algoDesc="x" * 1000) for number in range(1200)]
        assert (await upload(client, many)).status_code == 200
        async with asyncio.timeout(30):
            done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for answer in (task.result() for task in done):
            assert (answer.status, answer.envelope["status"], answer.headers["retry-after"]) == (429, "-429", "1")
        assert rest
        for task in rest:
            task.cancel()


async def test_bodies_in_memory(database_url: str) -> None:
    """JSON bodies in memory share a budget, too; small ones get through."""
    body = json.dumps(minimal()).encode()
    async with serving(settings_for(database_url)) as client, AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(connected(client)) for _ in range(40)]
        head = post(f"{IMAGES}/_register", f"Content-Length: {MIB}")
        await asyncio.gather(*(each.send(head, b" " * (MIB - 1)) for each in slow))
        async with asyncio.timeout(60):
            waiting = [asyncio.create_task(each.answer()) for each in slow]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert (
            await client.post(f"{IMAGES}/_register", content=body, headers={"content-type": "application/json"})
        ).is_success
        refused = [task for task in waiting if task.done()]
        assert {task.result().status for task in refused} == {429}
        assert len(refused) < len(waiting)
        for task in waiting:
            task.cancel()


async def receive(intake: Intake, reception: Reception, size: int) -> None:
    """Receive this many bytes at once, then nothing."""
    async with intake.receiving(reception):
        reception.take(size)
        await asyncio.sleep(60)


async def test_order() -> None:
    """The body that would take longest to resend is rejected first, and no more than necessary."""
    intake = Intake(1000, window=0.2)
    with intake.reception() as stalled, intake.reception() as small, intake.reception() as fast:
        tasks = [asyncio.create_task(receive(intake, each, size)) for each, size in ((stalled, 500), (small, 10))]
        await asyncio.sleep(0.5)
        async with intake.receiving(fast):
            for _ in range(6):
                fast.take(100)
        assert (stalled.given_way, small.given_way, fast.given_way) == (True, False, False)
        with pytest.raises(TooManyRequests):
            await tasks[0]
        tasks[1].cancel()


async def test_the_newcomer_gives_way_to_what_is_there() -> None:
    """Complete bodies are never discarded: the budget stays used up until they are released."""
    intake = Intake(1000)
    with intake.reception() as whole:
        async with intake.receiving(whole):
            whole.take(1000)
        with intake.reception() as late:
            with pytest.raises(TooManyRequests):
                async with intake.receiving(late):
                    late.take(1)
            with pytest.raises(TooManyRequests):
                late.take(1)
    with intake.reception() as later:
        async with intake.receiving(later):
            later.take(1000)


async def test_other_ends() -> None:
    """A timeout from elsewhere is not mistaken for a rejection."""
    intake = Intake(1000)
    with intake.reception() as reception, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), intake.receiving(reception):
            await asyncio.sleep(10)


async def test_files_are_let_go(database_url: str) -> None:
    """A rejected or broken upload leaves nothing on disk."""

    def unlinked() -> int:
        paths = (path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
        return sum(str(path).endswith("(deleted)") for path in paths)

    async with serving(settings_for(database_url, max_upload_bytes=2 * MIB)) as client:
        before = unlinked()
        async with connected(client) as raw:
            await raw.send(form(2 * MIB - 1), b" " * MIB)
            async with asyncio.timeout(30):
                while unlinked() == before:  # noqa: ASYNC110 - a file has no event to wait for
                    await asyncio.sleep(0.02)
        for parts in ({"file": b" " * MIB + b"x"}, {"other": b" " * MIB}):
            assert (await client.post(f"{IMAGES}/_upload", files=parts)).is_client_error
        assert (await client.post(f"{IMAGES}/_upload", files={"file": b" " * 3 * MIB})).status_code == 413
        async with asyncio.timeout(30):
            while unlinked() != before:  # noqa: ASYNC110 - nor has its end
                await asyncio.sleep(0.02)


async def test_large_bodies_have_a_budget_of_their_own() -> None:
    """A JSON body as large as an upload counts against its own budget, and is refused beyond its limit."""
    app = FastAPI()
    app.state.bodies, app.state.large_bodies = Intake(MIB), Intake(4 * MIB)
    router = image_router()

    @router.post("/_large")
    async def large(request: Request) -> Response:
        return PlainTextResponse(str(sum(map(len, await read_large_json_text(request, 3 * MIB)))))

    @router.post("/_small")
    async def small(request: Request) -> Response:
        return PlainTextResponse(str(len(await read_json_text(request, 3 * MIB))))

    async def pieces(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // KIB):
            yield b" " * KIB

    app.include_router(router)
    install_handlers(app)
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://x{IMAGES}") as client:
        for path, size, status in (("_large", 2, 200), ("_small", 2, 429), ("_large", 4, 413), ("_large", 3, 200)):
            answer = await client.post(path, content=pieces(size * MIB), headers=headers)
            assert answer.status_code == status, (path, size, answer.text)
