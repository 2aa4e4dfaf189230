"""Rendering records as manifests: check, render and write YAML, one record after the other, as one worker does."""

import time
from typing import Any, Final

from algoplatform.domain.record.check import Rules, check
from algoplatform.manifests.image import Target
from algoplatform.manifests.options import Options
from algoplatform.manifests.rendering import render
from algoplatform.manifests.yaml import dump_yaml
from benchmarks import data
from benchmarks.results import Goal, Result, compared
from benchmarks.session import Session

_RECORDS: Final = 200
_GOAL: Final = Goal("at least", 500, "figure")
_RULES: Final = Rules()


def rendering(session: Session) -> list[Result]:
    """Measure records per second of CPU time; the floor only reads and checks the records."""
    records = list(data.records(_RECORDS))

    def rate(*, whole: bool) -> float:
        size, began, done = 0, time.process_time(), 0
        while (spent := time.process_time() - began) < session.plan.seconds:
            for record in records:
                size += _render(record) if whole else _check(record)
            done += len(records)
        assert size
        return done / spent

    found = session.turns({"figure": lambda: rate(whole=True), "floor": lambda: rate(whole=False)})
    note = (
        f"{sum(map(_render, records)) / len(records) / 1024:.1f} KiB of YAML a record; floor: the check of the record"
    )
    return [compared("check, render and write one record", "/s", found["figure"], found["floor"], _GOAL, note)]


def _check(record: dict[str, Any]) -> int:
    image = check(record, _RULES).image
    assert image is not None
    return 1


def _render(record: dict[str, Any]) -> int:
    image = check(record, _RULES).image
    assert image is not None
    found = render([Target(image, record["imageId"], 1)], Options())
    return sum(map(len, dump_yaml(found.objects)))
