"""Rules on an image's name and tag, and on those of its dependencies."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from algoplatform.domain.errors import clip_reference
from algoplatform.planning.lint.findings import Flaw
from algoplatform.planning.lint.record import Record, dependencies

_LATEST: Final = Flaw("tag-latest", "imageTag", "latest", "标签latest不固定，节点上可能仍是旧的镜像")


def flaws(record: Record) -> list[Flaw]:
    found = [_LATEST] if record["imageTag"] == "latest" else []
    name: str = record["imageName"]
    if not has_host(name):
        found.append(Flaw("no-registry", "imageName", name, "镜像名称中没有仓库地址，将从Docker Hub拉取"))
    listed = record.get("dependencyServiceId")
    if listed and ":latest" in listed:
        found += _latest(dependencies(record))
    return found


def _latest(needs: list[str]) -> Iterator[Flaw]:
    for item in needs:
        if item.endswith(":latest"):
            text = f"依赖“{clip_reference(item)}”的标签不固定"
            yield Flaw("dependency-latest", "dependencyServiceId", item, text)


def has_host(name: str) -> bool:
    """Return whether a valid name begins with a registry host (see domain/grammar/reference.py)."""
    first, slash, _ = name.partition("/")
    return bool(slash) and _is_host(first)


@lru_cache(1024)
def _is_host(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def namespace_of(reference: str) -> str:
    """Return the namespace of a valid reference: the first of several path components, else `default`."""
    first, slash, rest = reference.partition("/")
    if slash and has_host(reference):
        first, slash, rest = rest.partition("/")
    return first if slash else "default"
