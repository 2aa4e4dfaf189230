"""The registries of the settings: finds the one that an image's name means, and leaves every other host alone."""

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
    """Looks images up."""

    def __init__(self, hosts: Mapping[str, "Host"]) -> None:
        self._hosts = hosts

    @classmethod
    @asynccontextmanager
    async def open(cls, text: str) -> AsyncIterator[Self]:
        """Read the setting, without connecting; raises ValueError, and SettingsError for an unusable proxy."""
        hosts: dict[str, Host] = {}
        if text:
            # httpx takes 0.1 s to import, which only services with registries should pay.
            from algoplatform.registries.repository import open_hosts

            hosts = open_hosts(text)
        try:
            yield cls(hosts)
        finally:
            for host in hosts.values():
                await host.close()

    async def look(self, name: ImageName, tag: str, known: str | None = None) -> Facts:
        """Return what a registry has under a name and tag; raises NotPresent.

        `known` is the digest whose platforms are known already.
        """
        if name.host is None:
            raise NotPresent("not-configured", _NOT_CONFIGURED)
        host = next((host for host in self._hosts.values() if host.registry.is_named(name.host)), None)
        if host is None:
            raise NotPresent("not-configured", _UNKNOWN)
        from algoplatform.registries.inspection import look

        return await look(host, name.path, tag, known)
