"""A streaming parser for what `kubectl get … -o json` prints: a List, or a single object."""

from collections.abc import Iterator
from typing import Any, Final

from algoplatform.domain.errors import BadRequest
from algoplatform.domain.record.file import JsonReader
from algoplatform.domain.record.json import repeated_name

# Bytes. etcd stores objects of up to 1.5 MiB; indentation and escapes can about double that.
MAX_OBJECT: Final = 3 * 1024 * 1024
_FORM: Final = "须为kubectl get deploy,sts,svc,pvc,cm,pods -A -o json的输出"
# Members of a List or an object; more would keep the parsing thread busy without a pause.
_MOST_MEMBERS: Final = 32


def read_objects(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Yield each object, with its kind and name; raises BadRequest for anything else."""
    reader = JsonReader(chunks, MAX_OBJECT, "单个对象")
    if reader.peek() != "{":
        raise BadRequest(f"内容{_FORM}：{reader.broken()}" if reader.peek() else f"内容为空，{_FORM}")
    seen: dict[str, Any] = {}
    for _ in reader.elements("{", "}"):
        key = reader.key()
        if key in seen:
            raise repeated_name(key)
        if len(seen) == _MOST_MEMBERS:
            raise BadRequest(f"内容{_FORM}：字段超过{_MOST_MEMBERS}个", malformed=False)
        seen[key] = None
        if key == "items":
            yield from _items(reader)
        else:
            seen[key] = reader.value()
    if reader.peek():
        raise reader.broken()
    if "items" not in seen:
        yield _object(seen, "内容")


def _items(reader: JsonReader) -> Iterator[dict[str, Any]]:
    if reader.peek() != "[":
        raise BadRequest(f"items须为列表，内容{_FORM}", malformed=False) if reader.peek() else reader.broken()
    for position, _ in enumerate(reader.elements("[", "]"), 1):
        yield _object(reader.value(), f"items的第{position}项")


def _object(value: Any, where: str) -> dict[str, Any]:
    kept = value.get("metadata") if isinstance(value, dict) else None
    named = isinstance(kept, dict) and isinstance(kept.get("name"), str) and isinstance(value.get("kind"), str)
    if not named:
        raise BadRequest(f"{where}须为有kind和metadata.name的Kubernetes对象，内容{_FORM}", malformed=False)
    found: dict[str, Any] = value
    return found
