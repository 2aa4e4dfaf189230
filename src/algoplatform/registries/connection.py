"""Sends single requests; reads responses up to a size limit, without decompressing them or following redirects."""

import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from algoplatform.proxies import open_client, proxy_for
from algoplatform.registries.configured import origin_of
from algoplatform.registries.facts import NotPresent

# Images looked up concurrently in one registry.
AT_ONCE: Final = 16
# Bytes read of the body of an error, of which only the error codes are used.
_MOST_OF_ERROR: Final = 64 * 1024
_HEADERS: Final = {"accept-encoding": "identity", "user-agent": "algoplatform"}
# Seconds for each step of a request. The deadline for all requests about an image is shorter (inspection.SECONDS).
_TIMEOUT: Final = httpx.Timeout(30)


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to one request; `body` is empty for an error whose body is too large or compressed."""

    status: int
    headers: httpx.Headers
    body: bytes


class Connections:
    """HTTP clients by origin, each with its own proxy. They store no cookies: a registry could send any number."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._stack = AsyncExitStack()

    async def close(self) -> None:
        await self._stack.aclose()

    async def send(self, method: str, url: httpx.URL, headers: Mapping[str, str], limit: int) -> Answer:
        """Send a request, and read at most `limit` bytes of the body; raises NotPresent if there are more."""
        async with (await self._client(url)).stream(method, url, headers=headers, auth=None) as answer:
            body = b"" if method == "HEAD" else await _read(answer, limit)
        return Answer(answer.status_code, answer.headers, body)

    async def _client(self, url: httpx.URL) -> httpx.AsyncClient:
        origin = origin_of(url)
        client = self._clients.get(origin)
        if client is None:
            limits = httpx.Limits(max_connections=2 * AT_ONCE, max_keepalive_connections=AT_ONCE)
            client = open_client(
                url,
                proxy_for(url),
                context=self._context,
                headers=_HEADERS,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                limits=limits,
                timeout=_TIMEOUT,
            )
            self._clients[origin] = await self._stack.enter_async_context(client)
        return client


async def _read(answer: httpx.Response, limit: int) -> bytes:
    """Return the body; empty for an error whose body is too large or compressed, as the status says enough."""
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        if answer.is_success:
            raise NotPresent("unsupported", "仓库返回了压缩的内容")
        return b""
    limit = limit if answer.is_success else _MOST_OF_ERROR
    content = bytearray()
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > limit:
            if not answer.is_success:
                return b""
            raise NotPresent("unsupported", f"仓库返回的内容超过{limit // 1024**2}MiB")
    return bytes(content)
