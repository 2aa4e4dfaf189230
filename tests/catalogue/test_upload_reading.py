"""Records of a file become rows; faults are collected with the position and the label of their record."""

import json
from typing import Any

import pytest

from algoplatform.catalogue.upload_reading import Reading
from algoplatform.domain.access import Scope
from algoplatform.domain.errors import MAX_COUNTED, FileRefused
from algoplatform.domain.record.check import Rules
from tests.support.images import minimal

ID = "a" * 32


async def read(content: Any, scope: Scope = None) -> tuple[Reading, int]:
    """Read a file to its end; return the reading and the number of its rows."""
    async with Reading(Rules(), scope, iter([json.dumps(content).encode()])) as reading:
        rows = [row async for row in reading.rows()]
    return reading, len(rows)


async def test_more_records_than_a_batch() -> None:
    """Every record becomes a row, in batches."""
    reading, rows = await read([minimal(f"algo/n{number}") for number in range(500)])
    assert (reading.records, rows, reading.total) == (500, 500, 0)


async def test_faulty_records() -> None:
    """A faulty record also becomes a row, so that others can be checked against it; what is not an object does not."""
    reading, rows = await read([minimal("algo/a"), minimal("algo/b", useableFlag="7"), 7])
    assert (reading.records, rows) == (3, 2)
    assert [(found.position, found.image) for found in reading.faults] == [(2, "algo/b1.0"), (3, "第3条记录")]


@pytest.mark.parametrize(
    ("key", "inside", "faults"), [(ID, {}, 0), (ID, {"imageId": ID}, 0), (ID, {"imageId": "b" * 32}, 1), ("x", {}, 1)]
)
async def test_keys(key: str, inside: dict[str, str], faults: int) -> None:
    """A key is the id of its record, and an imageId in the record must agree with it."""
    reading, _ = await read({key: minimal() | inside})
    assert [found.fault.field for found in reading.faults] == ["imageId"] * faults


async def test_scope() -> None:
    """A record outside of the caller's namespaces is a fault, and makes the whole file forbidden."""
    reading, _ = await read([minimal("algo/a"), minimal("vse/b")], frozenset(["algo"]))
    assert reading.forbidden
    assert [found.position for found in reading.faults] == [2]


async def test_too_many_faults() -> None:
    """After 10,000 faults reading stops, and their number is a lower bound."""
    with pytest.raises(FileRefused) as refused:
        await read([{"x": 1}] * (MAX_COUNTED + 1000))
    assert refused.value.at_least
    assert refused.value.total > MAX_COUNTED
