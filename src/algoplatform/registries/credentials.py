"""Authenticates with a registry: by HTTP Basic, or by a Bearer token from its token server.

A registry's challenge can name any token server (realm). Only a realm on the registry's own origin or in the
settings is contacted and gets credentials.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import httpx

from algoplatform.registries.configured import Registry
from algoplatform.registries.connection import Answer
from algoplatform.registries.facts import NotPresent
from algoplatform.registries.manifest import read_object

Get: TypeAlias = Callable[[httpx.URL, Mapping[str, str]], Awaitable[Answer]]

_SCHEME: Final = re.compile(r"(?:^|,)\s*+(basic|bearer)(?:\s++|$)", re.IGNORECASE)
_PARAMETER: Final = re.compile(r'([a-z]++)\s*+=\s*+(?:"([^"\\]*+)"|([^",\s]++))', re.IGNORECASE)
_TOKEN: Final = re.compile(r"[!-~]{1,16384}")
_MOST_CHALLENGE: Final = 4096
_MOST_TOKENS: Final = 2000
# The lifetime of a token without `expires_in`, by the specification, and how long before its end a token is replaced.
_LIFE_SECONDS: Final = 60
_MARGIN_SECONDS: Final = 15


@dataclass(frozen=True, slots=True)
class _Server:
    """A trusted token server, and the service to request tokens for."""

    realm: httpx.URL
    service: str | None


class Credentials:
    """Provides the Authorization header for each repository of one registry."""

    def __init__(self, registry: Registry, get: Get) -> None:
        self._registry = registry
        self._get = get
        self._wants_basic = False
        self._server: _Server | None = None
        self._tokens: dict[str, tuple[str, float]] = {}

    async def offered(self, repository: str) -> str | None:
        """Return the header that the last challenge asked for; None if there was no challenge yet."""
        if self._server is not None:
            return await self._token(self._server, repository)
        return self._registry.authorization if self._wants_basic else None

    async def demanded(self, challenges: Sequence[str], repository: str) -> str:
        """Return the header that a challenge asks for; raises NotPresent if we cannot provide it."""
        told = ", ".join(challenges)[:_MOST_CHALLENGE]
        schemes = {found[1].lower(): told[found.end() :] for found in _SCHEME.finditer(told)}
        if "bearer" in schemes:
            self._server = self._trusted(schemes["bearer"])
            self._tokens.pop(repository, None)
            return await self._token(self._server, repository)
        if "basic" not in schemes:
            raise NotPresent("denied", "仓库要求的登录方式既不是Basic也不是Bearer")
        if self._registry.authorization is None:
            raise NotPresent("denied", "仓库要求登录，但没有配置用户名和密码")
        self._wants_basic = True
        return self._registry.authorization

    def _trusted(self, parameters: str) -> _Server:
        given: dict[str, str] = {}
        for name, quoted, bare in _PARAMETER.findall(parameters):
            given.setdefault(name.lower(), quoted or bare)
        try:
            realm = httpx.URL(given.get("realm", ""))
        except httpx.InvalidURL:
            realm = httpx.URL()
        if realm.userinfo or not self._registry.trusts(realm):
            raise NotPresent("denied", "仓库指定的令牌服务器不在该仓库的主机上，也不在配置的realms中")
        return _Server(realm.copy_with(fragment=None), given.get("service"))

    async def _token(self, server: _Server, repository: str) -> str:
        header, until = self._tokens.get(repository, ("", 0.0))
        if time.monotonic() < until:
            return header
        header, life = await self._fetched(server, repository)
        if len(self._tokens) >= _MOST_TOKENS:
            self._tokens.clear()
        self._tokens[repository] = header, time.monotonic() + life - _MARGIN_SECONDS
        return header

    async def _fetched(self, server: _Server, repository: str) -> tuple[str, float]:
        # Not the scope of the challenge: permission to pull from one repository is all that is needed.
        asked = {"scope": f"repository:{repository}:pull"} | ({"service": server.service} if server.service else {})
        own = self._registry.authorization
        try:
            answer = await self._get(server.realm.copy_merge_params(asked), {"authorization": own} if own else {})
            document = read_object(answer.body) if answer.status == httpx.codes.OK else {}
        except NotPresent as reason:
            if reason.state != "unsupported":
                raise
            # The response is too large, compressed or not JSON, which says nothing about the image.
            raise _no_token() from None
        if answer.status in (400, 401, 403):
            raise NotPresent("denied", f"令牌服务器拒绝了请求（HTTP {answer.status}）")
        if answer.status != httpx.codes.OK:
            raise NotPresent("unreachable", f"令牌服务器没有给出令牌（HTTP {answer.status}）")
        token, life = document.get("token") or document.get("access_token"), document.get("expires_in")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise _no_token()
        return f"Bearer {token}", life if type(life) is int and 0 < life < 2**31 else _LIFE_SECONDS


def _no_token() -> NotPresent:
    return NotPresent("denied", "令牌服务器返回的内容中没有令牌")
