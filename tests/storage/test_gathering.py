"""Serving many at once: who is served with whom, and that each gets his own or learns why not."""

import asyncio

import pytest

from algoplatform.domain.errors import Busy
from algoplatform.logs import REQUEST_ID
from algoplatform.storage.postgres.batching import Gathering


class Served:
    """A service that takes as long as it is told, gives what was asked doubled, and notes who came together."""

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
        """Let so many ask, and wait until they have."""
        tasks = [asyncio.create_task(self.gathering.ask(number)) for number in numbers]
        await asyncio.sleep(0.01)
        return tasks


async def test_who_comes_meanwhile_is_served_together() -> None:
    """The first is served alone; all who come before it is over are served next, and each gets his own."""
    served = Served()
    first, later, last = await served.ask(1), await served.ask(2, 3), await served.ask(4)
    served.go.set()
    assert await asyncio.gather(*first, *later, *last) == [2, 4, 6, 8]
    assert served.together == [[1], [2, 3, 4]]


async def test_no_more_than_so_many_at_a_time() -> None:
    """Who is too many for one service comes with the next, in the order of asking."""
    served = Served(most=2)
    tasks = [*await served.ask(1), *await served.ask(2, 3, 4)]
    served.go.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert served.together == [[1], [2, 3], [4]]


async def test_a_failure_is_for_all_of_its_service_only() -> None:
    """Everyone who was served by what failed is told; who asks afterwards is served."""
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
    """There is no moment in which one that is about to end is taken for one that will serve."""
    served = Served()
    served.go.set()
    for number in range(200):
        async with asyncio.timeout(60):
            assert await served.gathering.ask(number) == 2 * number


async def test_who_goes_away_is_not_served_and_takes_nobody_along() -> None:
    """A cancelled one is left out while he waits, and changes nothing for the others while he is being served."""
    served = Served()
    first, waiting = await served.ask(1), await served.ask(2, 3)
    first[0].cancel()
    waiting[0].cancel()
    served.go.set()
    assert await waiting[1] == 6
    assert served.together == [[1], [3]]


async def test_everyone_is_told_by_an_exception_of_their_own() -> None:
    """Tasks that raise one and the same exception would each add their traceback to it."""
    served = Served()
    first, others = await served.ask(1), await served.ask(*range(50))
    served.fails = True
    served.go.set()
    told = await asyncio.gather(*first, *others, return_exceptions=True)
    assert {type(error) for error in told} == {ArithmeticError}
    assert len({id(error) for error in told}) == 51


async def test_what_is_done_for_all_is_logged_under_nobodys_name() -> None:
    """The request that comes first is not the one whose name a shared statement is logged under."""
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
    """Whose patience ends while others are being served gets Busy and nothing is done for him; being served may take longer."""
    served = Served(patience=0.05)
    first, second = await served.ask(1), await served.ask(2)
    with pytest.raises(Busy):
        await second[0]
    third = await served.ask(3)
    served.go.set()
    assert await asyncio.gather(*first, *third) == [2, 6]
    assert served.together == [[1], [3]]
