"""Fixtures of the domain tests."""

import time
from collections.abc import Callable

import pytest


@pytest.fixture
def cost() -> Callable[[Callable[[], object]], float]:
    """Return a function that measures a call's CPU time in seconds, the best of 7 runs."""

    def measured(call: Callable[[], object]) -> float:
        return min(_seconds(call) for _ in range(7))

    return measured


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start
