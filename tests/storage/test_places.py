"""Places are taken in the order of the calls, and none is lost."""

import asyncio

import pytest

from algoplatform.domain.errors import Busy
from algoplatform.storage.postgres.places import Places, Turns


async def waiting(places: Places, done: list[int], number: int) -> asyncio.Task[None]:
    """Start a call that waits for a place and then appends its number to `done`."""

    async def run() -> None:
        await places.acquire()
        done.append(number)

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    return task


async def test_in_order() -> None:
    """A released place is reserved for the first waiting call, even before that runs: no later call can take it."""
    places, done = Places(1), list[int]()
    assert places.take()
    tasks = [await waiting(places, done, number) for number in range(3)]
    places.release()
    assert places.locked()
    assert not places.take()
    await tasks[0]
    assert done == [0]
    places.release()
    places.release()
    await asyncio.gather(*tasks)
    assert done == [0, 1, 2]
    places.release()
    assert places.take()


@pytest.mark.parametrize("given", [False, True])
async def test_a_cancelled_call_takes_no_place(*, given: bool) -> None:
    """A call that is cancelled while waiting, or just after getting its place, passes the place on."""
    places, done = Places(1), list[int]()
    assert places.take()
    first, second = [await waiting(places, done, number) for number in range(2)]
    if given:
        places.release()
    first.cancel()
    if not given:
        await asyncio.sleep(0)
        places.release()
    await second
    assert (done, first.cancelled(), places.locked()) == ([1], True, True)
    places.release()
    assert places.take()


async def test_turns() -> None:
    """A call that gets no place in time raises Busy, and the place is free again after the block."""
    turns = Turns(1, 0.01)
    async with turns:
        with pytest.raises(Busy):
            async with turns:
                raise AssertionError
    async with turns:
        assert turns.locked()
    assert not turns.locked()
