"""What the tests of the rules share."""

import time
from collections.abc import Callable

import pytest


@pytest.fixture
def cost() -> Callable[[Callable[[], object]], float]:
    """Measure the processor's seconds that a call takes, at its best of some."""

    def measured(call: Callable[[], object]) -> float:
        return min(_seconds(call) for _ in range(7))

    return measured


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start
