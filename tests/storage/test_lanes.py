"""Lanes: slow operations leave the quick places to others."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from algoplatform.domain.errors import Busy
from algoplatform.storage.postgres.lanes import Lanes
from algoplatform.storage.postgres.places import Turns


class Work:
    """Slow operations, which end when released, and quick ones; counts how often each was started."""

    def __init__(self, quick: int = 1, slow: int = 1, patience: float = 60) -> None:
        self.quick, self.slow = Turns(quick, patience), Turns(slow, patience)
        self.lanes = Lanes(self.connection, self.quick, self.slow)
        self.began = Counter[int]()
        self.ended = asyncio.Event()
        self.open = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def slowly(self, number: int) -> asyncio.Task[int]:
        async def work(_: None) -> int:
            self.began[number] += 1
            await self.ended.wait()
            return number

        return asyncio.create_task(self.lanes.run(work))

    async def quickly(self) -> str:
        async def work(_: None) -> str:
            return "done"

        return await self.lanes.run(work)

    def is_idle(self) -> bool:
        return not self.open and self.quick.take() and self.slow.take()


async def test_quick_ones_pass() -> None:
    """Quick operations run however many slow ones there are; the slow ones end one by one in the slow place."""
    work = Work()
    tasks = [work.slowly(number) for number in range(5)]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        assert await work.quickly() == "done"
        assert await work.quickly() == "done"
    assert work.open == 1
    work.ended.set()
    assert await asyncio.gather(*tasks) == [*range(5)]
    assert work.began == {0: 1, 1: 2, 2: 2, 3: 2, 4: 2}
    assert work.is_idle()


async def test_nothing_is_done_twice_without_need() -> None:
    """A slow operation keeps its quick place, and is not restarted, as long as no other one waits for it."""
    work = Work()
    tasks = [work.slowly(number) for number in range(2)]
    await asyncio.sleep(1)
    assert work.open == 2
    work.ended.set()
    assert await asyncio.gather(*tasks) == [0, 1]
    assert work.began == {0: 1, 1: 1}
    assert work.is_idle()


async def test_slow_ones_are_busy_in_time() -> None:
    """A slow operation that gets no slow place in time raises Busy, and releases its place."""
    work = Work(patience=1)
    first, second = work.slowly(0), work.slowly(1)
    await asyncio.sleep(0)
    assert await work.quickly() == "done"
    with pytest.raises(Busy):
        await second
    work.ended.set()
    assert await first == 0
    assert work.is_idle()


async def test_other_timeouts_are_passed_on() -> None:
    """A timeout of the operation itself is raised, and a cancellation too."""
    work = Work()

    async def late(_: None) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await work.lanes.run(late)
    task = work.slowly(0)
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.is_idle()


async def test_a_cancelled_one_does_not_start_again() -> None:
    """A cancelled operation is not restarted, even if it was already being cancelled to free its place."""
    work, leaving = Work(slow=0), asyncio.Event()

    async def lingering(_: None) -> None:
        try:
            await work.ended.wait()
        finally:
            leaving.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work.lanes.run(lingering))
    await asyncio.sleep(0)
    quick = asyncio.create_task(work.quickly())
    async with asyncio.timeout(30):
        await leaving.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await quick == "done"
    assert work.quick.take()
