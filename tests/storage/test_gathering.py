"""Batching: which calls share a run, and that each gets its own result or error."""

import asyncio

import pytest

from algoplatform.domain.errors import Busy
from algoplatform.logs import REQUEST_ID
from algoplatform.storage.postgres.batching import Gathering


class Served:
    """A slow service that doubles its inputs and records its batches."""

    def __init__(self, *, most: int = 1000, patience: float | None = None) -> None:
        self.gathering = Gathering(self._serve, most=most, patience=patience)
        self.together: list[list[int]] = []
        self.go = asyncio.Event()
        self.fails = False

    async def _serve(self, asked: list[int]) -> list[int]:
        self.together.append(asked)
        await self.go.wait()
        if self.fails:
            raise ArithmeticError
        return [2 * number for number in asked]

    async def ask(self, *numbers: int) -> "list[asyncio.Task[int]]":
        """Start calls, and wait until all are queued."""
        tasks = [asyncio.create_task(self.gathering.ask(number)) for number in numbers]
        await asyncio.sleep(0.01)
        return tasks


async def test_who_comes_meanwhile_is_served_together() -> None:
    """The first call runs alone; all that arrive meanwhile share the next run, each with its own result."""
    served = Served()
    first, later, last = await served.ask(1), await served.ask(2, 3), await served.ask(4)
    served.go.set()
    assert await asyncio.gather(*first, *later, *last) == [2, 4, 6, 8]
    assert served.together == [[1], [2, 3, 4]]


async def test_no_more_than_so_many_at_a_time() -> None:
    """Calls beyond the batch size run in the next batch, in order."""
    served = Served(most=2)
    tasks = [*await served.ask(1), *await served.ask(2, 3, 4)]
    served.go.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert served.together == [[1], [2, 3], [4]]


async def test_a_failure_is_for_all_of_its_service_only() -> None:
    """A failure is raised by all calls of its batch, and later calls run."""
    served = Served()
    first = await served.ask(1)
    second = await served.ask(2, 3)
    served.fails = True
    served.go.set()
    with pytest.raises(ArithmeticError):
        await first[0]
    assert [type(told) for told in await asyncio.gather(*second, return_exceptions=True)] == [ArithmeticError] * 2
    served.fails = False
    assert await asyncio.gather(*await served.ask(5)) == [10]


async def test_who_asks_right_after_the_last_is_served() -> None:
    """A call that arrives just as a run ends still runs."""
    served = Served()
    served.go.set()
    for number in range(200):
        async with asyncio.timeout(60):
            assert await served.gathering.ask(number) == 2 * number


async def test_who_goes_away_is_not_served_and_takes_nobody_along() -> None:
    """A cancelled call is skipped while queued, and while running does not affect the others."""
    served = Served()
    first, waiting = await served.ask(1), await served.ask(2, 3)
    first[0].cancel()
    waiting[0].cancel()
    served.go.set()
    assert await waiting[1] == 6
    assert served.together == [[1], [3]]


async def test_everyone_is_told_by_an_exception_of_their_own() -> None:
    """Each call raises its own copy of an error, as a shared one would collect all tracebacks."""
    served = Served()
    first, others = await served.ask(1), await served.ask(*range(50))
    served.fails = True
    served.go.set()
    told = await asyncio.gather(*first, *others, return_exceptions=True)
    assert {type(error) for error in told} == {ArithmeticError}
    assert len({id(error) for error in told}) == 51


async def test_what_is_done_for_all_is_logged_under_nobodys_name() -> None:
    """The log lines of a shared run do not carry the context of its first caller."""
    seen: list[str] = []

    async def serve(asked: list[int]) -> list[int]:
        seen.append(REQUEST_ID.get())
        return asked

    token = REQUEST_ID.set("first")
    try:
        await Gathering(serve).ask(1)
    finally:
        REQUEST_ID.reset(token)
    assert seen == [""]


async def test_nobody_waits_for_ever_to_be_served() -> None:
    """A call queued beyond its patience raises Busy and does not run; a running one may take longer."""
    served = Served(patience=0.05)
    first, second = await served.ask(1), await served.ask(2)
    with pytest.raises(Busy):
        await second[0]
    third = await served.ask(3)
    served.go.set()
    assert await asyncio.gather(*first, *third) == [2, 6]
    assert served.together == [[1], [3]]
