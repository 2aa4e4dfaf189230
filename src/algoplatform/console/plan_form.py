"""The form of a plan: groups of cameras and nodes as rows, and the body of `_plan` that they make."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, Self
from urllib.parse import urlencode

from starlette.datastructures import ImmutableMultiDict

from algoplatform.api.http.urlencoded import Pairs
from algoplatform.domain.errors import Refused
from algoplatform.domain.faults import Code, Fault

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "cameras": ("name", "channels", "pictures", "images"),
    "nodes": ("name", "count", "cpu", "memory", "cardCount", "cardMemory"),
}
VALUES: Final = ("profile", "reserve.gpuMemoryPercent", "reserve.nodes", "unknownChannels", "simulate")
# The inputs of faults about a whole row.
_ROW: Final = {"cameras": "channels", "nodes": "name"}
_PATH: Final = re.compile(r"(cameras|nodes)\[(\d{1,4})\](?:\.(\w+))?(?:\[\d+\]\.(\w+))?")
_SEPARATORS: Final = re.compile(r"[\s,，、;；]+")
_MOST_ROWS: Final = 2_000

Rows = list[dict[str, str]]


@dataclass
class PlanForm:
    """What the inputs hold; `kubectl` is a pasted output."""

    rows: dict[str, Rows]
    values: dict[str, str]
    kubectl: str
    pressed: Sequence[str] = ()

    @classmethod
    def read(cls, pairs: Pairs) -> Self:
        """Read a form or a query."""
        given = ImmutableMultiDict(pairs)
        rows = {}
        for part, names in COLUMNS.items():
            columns = (given.getlist(f"{part}.{name}")[:_MOST_ROWS] for name in names)
            rows[part] = [dict(zip(names, row, strict=True)) for row in zip_longest(*columns, fillvalue="")]
        values = {name: given[name].strip() for name in VALUES if name in given}
        return cls(rows, values, given.get("kubectl", "").strip(), given.getlist("do"))

    def press(self) -> bool:
        """Do what a button beside a row says, for browsers without script; return whether one was pressed."""
        for action, part, at, *_ in (f"{value}::".split(":") for value in self.pressed):
            rows = self.rows.get(part, [])
            if action == "add":
                rows.append({})
            elif at.isdecimal() and int(at[:9]) < len(rows):
                del rows[int(at[:9])]
        return bool(self.pressed)

    def drop_blank(self) -> bool:
        """Drop the rows without text; return whether anything is left."""
        for part, rows in self.rows.items():
            self.rows[part] = [row for row in rows if any(text.strip() for text in row.values())]
        return any(self.rows.values()) or bool(self.kubectl)

    def query(self) -> str:
        """Return the query of an address that holds the input; columns without text are left out."""
        pairs = [(name, text) for name, text in self.values.items() if text]
        for part, names in COLUMNS.items():
            for name in names:
                texts = [row[name] for row in self.rows[part]]
                pairs += [(f"{part}.{name}", text) for text in texts if any(texts)]
        return urlencode(pairs)

    def body(self, pasted: object = None) -> dict[str, Any]:
        """Return the body of `_plan`; raises Refused if what was pasted is no output of kubectl."""
        reserve = {name: self.values.get(f"reserve.{name}") for name in ("gpuMemoryPercent", "nodes")}
        body: dict[str, Any] = {name: self.values[name] for name in VALUES if self.values.get(name) and "." not in name}
        body |= {"reserve": reserve, "cameras": [_group(row) for row in self.rows["cameras"]]}
        return body | {"nodes": [_node(row) for row in self.rows["nodes"]], "kubectl": _kubectl(pasted)}

    def place_of(self, fault: Fault) -> str:
        """Return the id of the input that a fault in the body is about; those of records are about the cameras."""
        path = fault.field
        if (match := _PATH.match(path)) and int(match[2]) < len(self.rows[match[1]]):
            part, at, name, of_card = match.groups()
            column = f"card{of_card.capitalize()}" if of_card else "cardCount" if name == "cards" else name
            return f"{part}-{at}-{column if column in COLUMNS[part] else _ROW[part]}"
        if path in ("tvChannel", "pics"):
            return "unknownChannels"
        part = path if path in VALUES else path.partition(".")[0]
        return part if part in (*VALUES, "nodes", "kubectl") else "cameras"


def _group(row: Mapping[str, str]) -> dict[str, Any]:
    texts = {name: text.strip() for name, text in row.items()}
    return texts | {"images": [image for image in _SEPARATORS.split(texts["images"]) if image]}


def _node(row: Mapping[str, str]) -> dict[str, Any]:
    texts = {name: text.strip() for name, text in row.items()}
    card = {"count": texts.pop("cardCount"), "memory": texts.pop("cardMemory")}
    return texts | {"cards": [card] if any(card.values()) else []}


def _kubectl(pasted: object) -> dict[str, Any] | None:
    """Take nodes and pods apart, which one command prints together."""
    if pasted is None:
        return None
    items = pasted.get("items") if isinstance(pasted, dict) else None
    kinds: dict[str, list[Any]] = {"Node": [], "Pod": []}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("kind") in ("Node", "Pod"):
            kinds[item["kind"]].append(item)
    if not kinds["Node"]:
        message = "粘贴的内容中没有节点：须为kubectl get nodes,pods -A -o json的输出"
        raise Refused([Fault("kubectl", Code.FIELD, message)])
    return {"nodes": {"items": kinds["Node"]}} | ({"pods": {"items": kinds["Pod"]}} if kinds["Pod"] else {})
