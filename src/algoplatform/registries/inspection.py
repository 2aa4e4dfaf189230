"""Looks one image up: HEAD returns the digest; manifests and configurations are read only if it is new."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx

from algoplatform.registries.facts import Facts, NotPresent, Platform
from algoplatform.registries.manifest import (
    ACCEPT,
    DIGEST,
    INDEXES,
    children,
    digest_of,
    media_type_of,
    read_config,
    read_manifest,
    read_object,
    unsupported,
)
from algoplatform.registries.repository import Host, check
from algoplatform.settings import SettingsError

MAX_MANIFEST: Final = 4 * 1024 * 1024
MAX_CONFIG: Final = 8 * 1024 * 1024
# Deadline for all requests about one image.
SECONDS: Final = 10.0
# How long an image waits for its turn before that. A shutdown waits longer for requests than both together.
_QUEUE_SECONDS: Final = 15.0


async def look(host: Host, path: str, tag: str, known: str | None) -> Facts:
    """Look an image up by path and tag; raises NotPresent.

    `known` is the digest last seen: while it is unchanged, the platforms are not read again.
    """
    await _take(host.slots)
    try:
        async with asyncio.timeout(SECONDS):
            return await _looked(host, path, tag, known)
    except TimeoutError:
        host.timed_out()
        raise NotPresent("unreachable", f"仓库在{SECONDS:.0f}秒内没有答复完") from None
    except SettingsError:
        raise NotPresent("unreachable", "访问仓库所需的代理设置有误") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise NotPresent("unreachable", f"仓库无法连接（{type(error).__name__}）") from None
    finally:
        host.slots.release()


async def _looked(host: Host, path: str, tag: str, known: str | None) -> Facts:
    digest = await _digest(host, path, tag)
    if digest is not None and digest == known:
        return Facts(digest)
    content, kind = await _manifest(host, path, tag)
    found = digest_of(content)
    # The tag may have moved between the two requests: then a second HEAD returns the new digest.
    if digest not in (None, found) and found != await _digest(host, path, tag):
        raise unsupported("清单的内容与仓库给出的摘要不符")
    return await _read(host, path, found, content, kind)


async def _digest(host: Host, path: str, tag: str) -> str | None:
    """Return the digest that the registry sends; None if it sends none, or does not support HEAD."""
    answer = await host.ask("HEAD", path, f"manifests/{tag}", ACCEPT, 0)
    if answer.status == httpx.codes.METHOD_NOT_ALLOWED:
        return None
    if answer.status in (401, 403):
        check(answer)
    if answer.status != httpx.codes.OK:
        # The reason is in the body, which a response to HEAD does not have.
        answer = await host.ask("GET", path, f"manifests/{tag}", ACCEPT, MAX_MANIFEST)
        check(answer)
    digest: str | None = answer.headers.get("docker-content-digest")
    if digest is not None and not DIGEST.fullmatch(digest):
        raise unsupported("仓库给出的摘要不是sha256")
    return digest


async def _read(host: Host, path: str, digest: str, content: bytes, kind: str) -> Facts:
    document = read_object(content)
    media_type = media_type_of(kind, document)
    if media_type not in INDEXES:
        return Facts(digest, media_type, [await _platform(host, path, document)])
    found = [platform for child in children(document) if (platform := await _child(host, path, child))]
    if not found:
        raise NotPresent("missing", "仓库中有镜像索引，但没有其中任何平台的镜像")
    return Facts(digest, media_type, found)


async def _child(host: Host, path: str, digest: str) -> Platform | None:
    """Return a platform of an index; None if it is missing, as a mirror may hold only some platforms."""
    try:
        content, kind = await _manifest(host, path, digest)
    except NotPresent as reason:
        if reason.state == "missing":
            return None
        raise
    if digest_of(content) != digest:
        raise unsupported("清单的内容与索引中的摘要不符")
    manifest = read_object(content)
    if media_type_of(kind, manifest) in INDEXES:
        raise unsupported("镜像索引中还有索引")
    return await _platform(host, path, manifest)


async def _take(slots: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(_QUEUE_SECONDS):
            await slots.acquire()
    except TimeoutError:
        raise NotPresent("unreachable", "正在向该仓库查询的镜像过多，请稍后再试") from None


async def _manifest(host: Host, path: str, reference: str) -> tuple[bytes, str]:
    """Return a manifest and its Content-Type."""
    answer = await host.ask("GET", path, f"manifests/{reference}", ACCEPT, MAX_MANIFEST)
    check(answer)
    return answer.body, answer.headers.get("content-type", "")


async def _platform(host: Host, path: str, document: Mapping[str, Any]) -> Platform:
    manifest = read_manifest(document)
    content = await host.blob(path, manifest.config, MAX_CONFIG)
    if digest_of(content) != manifest.config:
        raise unsupported("镜像配置的内容与清单中的摘要不符")
    return read_config(read_object(content), manifest.size)
