"""Finds the configured registry that an image name refers to; no other registry is ever contacted."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

from algoplatform.domain.grammar.reference import ImageName
from algoplatform.registries.facts import Facts, NotPresent

if TYPE_CHECKING:
    from algoplatform.registries.repository import Host

_NOT_CONFIGURED: Final = "镜像名称中没有仓库地址，也没有配置默认的仓库（ALGOPLATFORM_RENDER_REGISTRY）"
_UNKNOWN: Final = "镜像的仓库地址不在配置中（ALGOPLATFORM_REGISTRIES）"


class Registries:
    """Looks images up in the configured registries."""

    def __init__(self, hosts: Mapping[str, "Host"]) -> None:
        self._hosts = hosts

    @classmethod
    @asynccontextmanager
    async def open(cls, text: str) -> AsyncIterator[Self]:
        """Parse the setting, without connecting yet; raises ValueError, and SettingsError for an unusable proxy."""
        hosts: dict[str, Host] = {}
        if text:
            # Importing httpx takes 0.1 s, which services without registries need not spend.
            from algoplatform.registries.repository import open_hosts

            hosts = open_hosts(text)
        try:
            yield cls(hosts)
        finally:
            for host in hosts.values():
                await host.close()

    async def look(self, name: ImageName, tag: str, known: str | None = None) -> Facts:
        """Look an image up in its registry; raises NotPresent.

        `known` is the digest last seen: while it is unchanged, the platforms are not read again.
        """
        if name.host is None:
            raise NotPresent("not-configured", _NOT_CONFIGURED)
        host = next((host for host in self._hosts.values() if host.registry.is_named(name.host)), None)
        if host is None:
            raise NotPresent("not-configured", _UNKNOWN)
        from algoplatform.registries.inspection import look

        return await look(host, name.path, tag, known)
