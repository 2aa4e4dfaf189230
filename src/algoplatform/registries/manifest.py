"""Parses manifests, indexes and configurations of Docker and OCI, without I/O; limits the size of what it returns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeVar

import orjson

from algoplatform.registries.facts import NotPresent, Platform

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
# Tuples, as values of a document may be unhashable.
INDEXES: Final = (DOCKER_INDEX, OCI_INDEX)
MANIFESTS: Final = (DOCKER_MANIFEST, OCI_MANIFEST)
# A registry answers 404 if it has the image only in a type that is not listed here.
ACCEPT: Final = ", ".join([OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST])
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")

_CONFIGS: Final = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_MOST_PLATFORMS: Final = 32
_MOST_LAYERS: Final = 4096
_MOST_ITEMS: Final = 1000
# Limits in characters for the texts of one platform: for those that are stored and returned, and for those that
# only a draft uses. 32 platforms of each of 16 images may be in memory at once.
_MOST_TEXT: Final = 64 * 1024
_MOST_OF_DRAFT: Final = 256 * 1024
_MOST_BYTES: Final = 2**62
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]{0,63}")


T = TypeVar("T", str, dict[str, Any])


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest of one platform: the digest of its configuration, and the sum of its layers in bytes."""

    config: str
    size: int


def unsupported(message: str) -> NotPresent:
    """Return the error for a response that does not describe an image."""
    return NotPresent("unsupported", message)


def digest_of(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def read_object(content: bytes) -> dict[str, Any]:
    """Parse a JSON object; raises NotPresent."""
    try:
        document = orjson.loads(content)
    except ValueError:
        raise unsupported("仓库返回的内容不是JSON") from None
    if not isinstance(document, dict):
        raise unsupported("仓库返回的内容不是JSON对象")
    return document


def media_type_of(header: str, document: Mapping[str, Any]) -> str:
    """Return the media type of a manifest; raises NotPresent if it is unknown, or header and document differ."""
    kind = header.partition(";")[0].strip().lower()
    own = document.get("mediaType", kind)
    if kind in ("", "application/json", "text/plain", "application/octet-stream"):
        kind = own
    if kind not in (*INDEXES, *MANIFESTS) or own != kind:
        raise unsupported("不是Docker或OCI镜像的清单")
    return str(kind)


def children(document: Mapping[str, Any]) -> list[str]:
    """Return the digests of an index's images, without attestations; raises NotPresent."""
    entries = document.get("manifests")
    if not isinstance(entries, list):
        raise unsupported("镜像索引的格式有误")
    found: list[str] = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise unsupported("镜像索引的格式有误")
        platform = entry.get("platform")
        names = (platform.get("os"), platform.get("architecture")) if isinstance(platform, dict) else ()
        if entry.get("mediaType") in INDEXES:
            raise unsupported("镜像索引中还有索引")
        if names != ("unknown", "unknown") and entry.get("mediaType") in MANIFESTS:
            if len(found) == _MOST_PLATFORMS:
                raise unsupported(f"镜像索引的平台超过{_MOST_PLATFORMS}个")
            found.append(_digest(entry))
    if not found:
        raise unsupported("镜像索引中没有镜像")
    return list(dict.fromkeys(found))


def read_manifest(document: Mapping[str, Any]) -> Manifest:
    """Read a manifest of one platform; raises NotPresent."""
    config, layers = document.get("config"), document.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list) or len(layers) > _MOST_LAYERS:
        raise unsupported("镜像清单的格式有误")
    if config.get("mediaType") not in _CONFIGS:
        raise unsupported("不是容器镜像，而是其他类型的制品")
    sizes = [layer.get("size") if isinstance(layer, dict) else None for layer in layers]
    total = sum(size for size in sizes if type(size) is int and size >= 0)
    if not all(type(size) is int and size >= 0 for size in sizes) or total > _MOST_BYTES:
        raise unsupported("镜像清单中层的大小有误")
    return Manifest(_digest(config), total)


def read_config(document: Mapping[str, Any], size: int) -> Platform:
    """Read a configuration; raises NotPresent."""
    own = document.get("config") or {}
    if not isinstance(own, dict):
        raise unsupported("镜像配置的格式有误")
    created = document.get("created")
    found = Platform(
        _name(document, "os"),
        _name(document, "architecture"),
        size,
        _texts(own, "Entrypoint"),
        _texts(own, "Cmd"),
        sorted(_part(own, "ExposedPorts", dict), key=_port_order),
        _part(own, "User", str),
        created if isinstance(created, str) and len(created) <= 64 else None,
        _texts(own, "Env") or (),
        _part(own, "WorkingDir", str),
        sorted(_part(own, "Volumes", dict)),
    )
    told = (*(found.entrypoint or ()), *(found.cmd or ()), *found.exposed_ports, found.user)
    drafted = (*found.env, found.working_dir, *found.volumes)
    for texts, most in ((told, _MOST_TEXT), (drafted, _MOST_OF_DRAFT)):
        if sum(map(len, texts)) > most:
            raise unsupported(f"镜像配置中的文本超过{most}个字符")
    return found


def _digest(descriptor: Mapping[str, Any]) -> str:
    digest = descriptor.get("digest")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise unsupported("镜像清单中的摘要不是sha256")
    return digest


def _name(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise unsupported(f"镜像配置中没有{name}")
    return value


def _part(own: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """Return a text or an object, empty if it is absent; raises NotPresent for another type."""
    value = own.get(name) or kind()
    if not isinstance(value, kind) or (isinstance(value, dict) and len(value) > _MOST_ITEMS):
        raise unsupported(f"镜像配置中{name}的格式有误")
    return value


def _texts(own: Mapping[str, Any], name: str) -> Sequence[str] | None:
    value = own.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > _MOST_ITEMS or not all(isinstance(each, str) for each in value):
        raise unsupported(f"镜像配置中{name}的格式有误")
    return value


def _port_order(port: str) -> tuple[int, str]:
    number = port.partition("/")[0]
    return (int(number) if number.isdecimal() and len(number) < 6 else 0), port
