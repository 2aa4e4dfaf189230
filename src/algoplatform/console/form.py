"""The form of a record: from a record to inputs, and from what a browser sends back to a record."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, Final, Self

from starlette.datastructures import ImmutableMultiDict

from algoplatform.console.rows import SHAPES, Row
from algoplatform.domain.errors import AlgoplatformError
from algoplatform.domain.faults import Fault
from algoplatform.domain.record.model import INTEGER_FIELDS

UNITS: Final = {
    **{"cpuRequests": "m", "memRequests": "MiB", "gpuRequests": "MiB", "pvcSize": "GiB", "tvChannel": "channels"},
    **{"pics": "pictures", "frameInterval": "ms", "frameNumber": "frames"},
}
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "identity": (
        *("imageName", "imageTag", "algoName", "factory", "algoType", "eventType", "incidentId", "useableFlag"),
        "algoDesc",
    ),
    "resources": tuple(UNITS),
    "places": ("imagePorts", "imageMount", "config", "hostPath", "subPath"),
    "start": ("workingDir", "command", "args", "env"),
    "needs": ("dependencyServiceId",),
}
FIELDS: Final = tuple(name for group in GROUPS.values() for name in group)
CHOICES: Final = {"algoType": ("0", "1", "2"), "useableFlag": ("", "0", "1")}
_MOST_ROWS: Final = 2048


@dataclass
class Form:
    """What the inputs hold: texts, and rows of lists that are shown as rows; `pressed` are buttons of lists."""

    values: dict[str, str | list[Row]] = field(default_factory=dict)
    version: str = ""
    pressed: Sequence[str] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any], version: int | None = None) -> Self:
        return cls(version=str(version or "")).over(record)

    @classmethod
    def sent(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """Read what a browser sent; fields that were not sent are not in `values`."""
        given = ImmutableMultiDict(pairs)
        form = cls(version=given.get("version", ""), pressed=given.getlist("do"))
        for name, shape in SHAPES.items():
            columns = [given.getlist(f"{name}.{at}") for at in range(len(shape.columns))]
            if any(columns):
                form.values[name] = [list(row) for row in zip_longest(*columns, fillvalue="")][:_MOST_ROWS]
        # `<textarea>` sends every line break as CR LF.
        form.values |= {name: given[name].replace("\r\n", "\n") for name in FIELDS if name in given}
        return form

    def over(self, record: Mapping[str, Any]) -> Self:
        """Return this form with the values of a record for what was not sent."""
        form = replace(self, values={**self.values})
        for name in FIELDS:
            if name not in self.values:
                form.put(name, record.get(name))
        return form

    def put(self, name: str, value: Any) -> None:
        """Show a value, as rows if it can be."""
        text = "" if value is None else str(value)
        rows = SHAPES[name].split(text) if name in SHAPES else None
        self.values[name] = text if rows is None else rows

    @property
    def rows(self) -> dict[str, list[Row]]:
        """The lists that are shown as rows."""
        return {name: value for name, value in self.values.items() if isinstance(value, list)}

    def text(self, name: str) -> str | None:
        """Return the text of a field, None if it was not sent."""
        value = self.values.get(name)
        return SHAPES[name].join(value) if isinstance(value, list) else value

    def record(self) -> dict[str, str | None]:
        """Return the fields that were sent; blank ones are None."""
        return {name: self.text(name) or None for name in FIELDS if name in self.values}

    def changed(self, record: Mapping[str, Any]) -> dict[str, str | None]:
        """Return the fields that were sent and differ from a record."""
        sent = self.record().items()
        return {name: text for name, text in sent if comparable(name, text) != comparable(name, record.get(name))}

    def faults(self) -> list[Fault]:
        """Return what the inputs can hold but no record can."""
        return [fault for name, rows in self.rows.items() for fault in SHAPES[name].faults(name, rows)]

    def press(self) -> bool:
        """Do what a button beside a list says, for browsers without script; return whether one was pressed."""
        for action, name, at, *_ in (f"{value}::".split(":") for value in self.pressed):
            rows = self.rows.get(name)
            if action == "rows":
                self.put(name, self.text(name))
            elif rows is None:
                continue
            elif action == "text":
                self.values[name] = SHAPES[name].join(rows)
            elif action == "add":
                rows.append([""] * len(SHAPES[name].columns))
            elif at.isdecimal() and int(at[:9]) < len(rows):
                del rows[int(at[:9])]
        return bool(self.pressed)

    def place_of(self, fault: Fault) -> str:
        """Return the id of the input that a fault is about."""
        if fault.field not in FIELDS:
            return "form"
        value = self.values.get(fault.field)
        at = SHAPES[fault.field].row_of(value, fault.position) if isinstance(value, list) and fault.position else None
        return fault.field if at is None else f"{fault.field}-{at}"


def by_place(error: AlgoplatformError | None, place_of: Callable[[Fault], str]) -> dict[str, list[Fault]]:
    """Return the faults of an error by the id of the input that each is about."""
    places: dict[str, list[Fault]] = {}
    for fault in error.faults if error else ():
        places.setdefault(place_of(fault), []).append(fault)
    return places


def comparable(name: str, value: Any) -> str:
    """Return a field's value as the form would send it back."""
    text = "" if value is None else str(value)
    if name in INTEGER_FIELDS and text.isascii() and text.isdecimal():
        return str(int(text[:20]))
    return text.replace("\r\n", "\n")
