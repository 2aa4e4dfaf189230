"""Compares three versions of an object: rendered from its original record, rendered from the current one, and live.

They are called `base`, `ours` and `theirs`. Only rendered fields are compared: what the API server, controllers
and webhooks add is not drift. So if a record leaves a field out, any value that they fill in there is equal.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from algoplatform.manifests.check.verdicts import amount
from algoplatform.manifests.names import MANAGER

# `outdated`: the record changed; `modified`: the cluster did; `both`: both did, differently.
Change: TypeAlias = Literal["outdated", "modified", "both"]
_Key: TypeAlias = Callable[[dict[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A field, or an item of a list, that differs; None where it is absent."""

    path: str
    base: Any
    ours: Any
    theirs: Any
    change: Change


def _text(item: Any, field: str, default: str = "") -> str:
    value = item.get(field, default) if isinstance(item, dict) else ""
    return str(value) if isinstance(value, str | int) else ""


def _port(item: dict[str, Any]) -> str:
    number = _text(item, "containerPort") or _text(item, "port")
    return f"{number}/{_text(item, 'protocol', 'TCP')}"


def _toleration(item: dict[str, Any]) -> str:
    value = _text(item, "value")
    return f"{_text(item, 'key')}{value and f'={value}'}:{_text(item, 'effect')}"


def _field(name: str) -> _Key:
    return lambda item: _text(item, name)


# Lists whose order has no meaning, and what identifies their items.
_KEYS: Final[dict[str, _Key]] = {
    **dict.fromkeys(("containers", "env", "volumes", "imagePullSecrets"), _field("name")),
    "ports": _port,
    "volumeMounts": _field("mountPath"),
    "tolerations": _toleration,
    "volumeClaimTemplates": lambda item: _text(item.get("metadata"), "name"),
}
_AMOUNTS: Final = frozenset({"requests", "limits"})
# Fields that defaults or admission controllers fill in if a record leaves them out.
_FILLED: Final = frozenset(
    {
        "schedulerName",
        "runtimeClassName",
        "serviceAccountName",
        "storageClassName",
        "type",
        "maxSurge",
        "maxUnavailable",
    }
)
# These fields differ with each version of the record, or identify an object that was looked up by them.
_IGNORED: Final = frozenset({"apiVersion", f"{MANAGER}/record-version", f"{MANAGER}/renderer"})
_EMPTY: Final[tuple[Any, ...]] = (None, "", [])


def three_way(base: Any, ours: Any, theirs: Any, path: str = "", name: str = "") -> Iterator[Difference]:
    """Yield what differs below `path`; `name` is its last part. An absent value is None."""
    if name in _KEYS and (isinstance(base, list) or isinstance(ours, list)):
        key = _KEYS[name]
        yield from _items(_by_key(base, key), _by_key(ours, key), _by_key(theirs, key), path)
        return
    fields = {**_fields(base), **_fields(ours)}
    if not fields:
        # A LimitRange of the namespace also fills in amounts that were not rendered.
        is_filled = name in _FILLED or (base is None and name in _AMOUNTS)
        yield from _verdict(base, ours, theirs, path, lambda one, other: _same(one, other, name, is_filled=is_filled))
    known = theirs if isinstance(theirs, dict) else {}
    for field in fields:
        if field not in _IGNORED:
            below = _fields(base).get(field), _fields(ours).get(field), known.get(field)
            # Below `requests` and `limits`, keys are resources and not fields, whatever their names.
            yield from three_way(*below, _joined(path, field), name if name in _AMOUNTS else field)


def whole(base: Any, ours: Any, theirs: Any, path: str = "") -> Iterator[Difference]:
    """Yield the differences of an item or an object: a single one if a version does not have it at all."""
    if base is None or ours is None or theirs is None:
        yield from _verdict(base, ours, theirs, path, _covers)
    else:
        yield from three_way(base, ours, theirs, path)


def _items(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any], path: str) -> Iterator[Difference]:
    for key in {**base, **ours}:
        yield from whole(base.get(key), ours.get(key), theirs.get(key), f"{path}[{key}]")


def _verdict(base: Any, ours: Any, theirs: Any, path: str, equal: Callable[[Any, Any], bool]) -> Iterator[Difference]:
    # Rendered values are compared first: an absent one also equals whatever the cluster fills in.
    if ours is not None and equal(ours, theirs):
        return
    if base is not None and equal(base, theirs):
        change: Change = "outdated"
    elif ours is None and equal(ours, theirs):
        return
    elif base is None and equal(base, theirs):
        change = "outdated"
    else:
        change = "modified" if base == ours else "both"
    yield Difference(path, base, ours, theirs, change)


def _covers(side: Any, theirs: Any) -> bool:
    if side is None or theirs is None:
        return side is theirs
    return not any(True for _ in three_way(side, side, theirs))


def _same(side: Any, theirs: Any, name: str, *, is_filled: bool) -> bool:
    if side is None:
        return is_filled or theirs in _EMPTY
    if side == {}:
        return isinstance(theirs, dict)
    if name in _AMOUNTS:
        return type(theirs) in (int, str) and amount(side) == amount(theirs)
    if theirs is None:
        # Kubernetes omits empty texts, and older API servers also omit the kind of a claim template.
        return side == "" or name == "kind"
    return type(side) is type(theirs) and bool(side == theirs)


def _fields(side: Any) -> dict[str, Any]:
    return side if isinstance(side, dict) else {}


def _by_key(side: Any, key: _Key) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in side if isinstance(side, list) else ():
        if isinstance(item, dict):
            found.setdefault(key(item), item)
    return found


def _joined(path: str, key: str) -> str:
    if not key.isidentifier():
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key
