"""Parsers for the values of options: each takes a text, and raises Malformed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from algoplatform.domain.errors import Malformed, clip
from algoplatform.domain.grammar.reference import ImageName
from algoplatform.domain.record.fields import MAX_INTEGER, choice

_MAX_CARDS: Final = 1000
_DIGITS = re.compile(r"[0-9]{1,10}")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LABEL_KEY = re.compile(
    r"(?:(?=[^/]{1,253}/)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_SERVER = re.compile(r"[A-Za-z0-9](?:[-.A-Za-z0-9]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]")


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that pods accept; `value` None accepts any value, `effect` None any effect."""

    key: str
    value: str | None
    effect: str | None


@dataclass(frozen=True, slots=True)
class MountStore:
    """Where mounts without a volume claim are stored: `emptyDir`, or a folder of the node or of an NFS server."""

    kind: str = "emptyDir"
    base: str = ""
    server: str = ""


EMPTY_DIR: Final = MountStore()


def read_name(text: str) -> str:
    """Read a name, of which only the length is checked here."""
    if len(text) > 253:
        raise Malformed("长度不能超过253个字符")
    return text


def read_boolean(text: str) -> bool:
    return choice("true", "false")(text) == "true"


def integer(low: int) -> Callable[[str], int]:

    def read(text: str) -> int:
        if not _DIGITS.fullmatch(text) or not low <= int(text) <= MAX_INTEGER:
            raise Malformed(f"须为{low}至{MAX_INTEGER}的整数，不能为“{clip(text)}”")
        return int(text)

    return read


def _items(text: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if len(items) > _MAX_CARDS:
        raise Malformed(f"最多{_MAX_CARDS}项")
    return items


def read_cards(text: str) -> tuple[int, ...]:
    """Read the sizes of cards in MiB: `15109,24576`."""
    return tuple(map(integer(1), _items(text)))


def read_object(text: str) -> str:
    """Read the name of an object: a DNS name."""
    if not _SUBDOMAIN.fullmatch(text):
        raise Malformed(f"“{clip(text)}”不是合法的对象名称：只能用小写字母、数字、“-”和“.”，且以字母或数字开头和结尾")
    return text


def read_objects(text: str) -> tuple[str, ...]:
    """Read names of objects: `a,b`."""
    return tuple(dict.fromkeys(map(read_object, _items(text))))


def read_registry(text: str) -> str:
    """Read the host of a registry, with an optional path: `harbor.local:5000/mirror`."""
    try:
        name = ImageName.parse(f"{text}/x")
    except Malformed:
        name = None
    if name is None or name.host is None:
        raise Malformed(f"须为仓库地址，如harbor.local:5000，可带路径，不能为“{clip(text)}”")
    return text


def _label(key: str, value: str | None, item: str) -> None:
    if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value or ""):
        raise Malformed(f"中的“{clip(item)}”不是合法的标签")


def read_selector(text: str) -> tuple[tuple[str, str], ...]:
    """Read labels of a node: `key=value,…`."""
    found: dict[str, str] = {}
    for item in _items(text):
        key, equals, value = item.partition("=")
        if not equals or key in found:
            raise Malformed(f"中的“{clip(item)}”须写作“键=值”，且键不能重复")
        _label(key, value, item)
        found[key] = value
    return tuple(found.items())


def read_tolerations(text: str) -> tuple[Toleration, ...]:
    """Read tolerations: `key=value:Effect,…`; value and effect are optional."""
    return tuple(map(_toleration, _items(text)))


def _toleration(item: str) -> Toleration:
    taint, colon, effect = item.partition(":")
    key, equals, value = taint.partition("=")
    if colon and effect not in _EFFECTS:
        raise Malformed(f"中的“{clip(item)}”须写作“键=值:效果”，效果为{'、'.join(_EFFECTS)}之一")
    _label(key, value, item)
    return Toleration(key, value if equals else None, effect or None)


def read_mount_store(text: str) -> MountStore:
    """Read where mounts are stored: `emptyDir`, `hostPath:/base` or `nfs:server:/base`."""
    kind, _, rest = text.partition(":")
    server, colon, base = rest.rpartition(":") if kind == "nfs" else ("", ":", rest)
    fits = {"emptyDir": text == "emptyDir", "hostPath": True, "nfs": bool(colon and _SERVER.fullmatch(server))}
    if not fits.get(kind) or (kind != "emptyDir" and (not base.startswith("/") or ".." in base.split("/"))):
        raise Malformed(f"须为emptyDir、hostPath:/路径或nfs:服务器:/路径，不能为“{clip(text)}”")
    return MountStore(kind, base.rstrip("/"), server)
