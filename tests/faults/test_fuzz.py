"""Grammars and file readers accept any text or reject it with a domain error, within a time limit."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.faults.fuzzing import TARGETS, Outcome, run
from tests.faults.report import Report

pytestmark = pytest.mark.slow


def test_fuzz(report: Report, scale: Callable[[int, int], int]) -> None:
    """Over a million cases in full, some thousands else: only domain errors, no accepted value changed."""
    cases = scale(1000, 80_000)
    cores = len(os.sched_getaffinity(0))
    share = -(-cases // cores)
    total = 0
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        shares = {target: [pool.submit(run, target, number, share) for number in range(cores)] for target in TARGETS}
        for target, futures in shares.items():
            done = [future.result() for future in futures]
            assert [outcome.wrong for outcome in done if outcome.wrong] == []
            _tell(report, target, done)
            total += sum(outcome.cases for outcome in done)
    assert total >= cases * len(TARGETS)


def _tell(report: Report, target: str, done: list[Outcome]) -> None:
    report.row(
        "Fuzz",
        target=target,
        cases=sum(outcome.cases for outcome in done),
        accepted=sum(outcome.accepted for outcome in done),
        raised_or_changed=0,
        slowest_ms=max(outcome.slowest for outcome in done) * 1000,
    )
