"""One registry: authenticates requests, respects its rate limits, and turns error responses into NotPresent."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Final

import httpx

from algoplatform.domain.errors import clip
from algoplatform.proxies import client_context, proxy_for
from algoplatform.registries.configured import Registry, origin_of, parse_registries
from algoplatform.registries.connection import AT_ONCE, Answer, Connections
from algoplatform.registries.credentials import Credentials
from algoplatform.registries.facts import NotPresent, codes_of
from algoplatform.registries.manifest import read_object, unsupported

_MAX_TOKEN: Final = 256 * 1024
_MOST_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset([301, 302, 303, 307, 308])
_BUSY: Final = frozenset([429, 503])
# A request waits for a short Retry-After. After a longer one, all requests fail at once for that time, up to a limit.
_MOST_PATIENCE_SECONDS: Final = 4.0
_MOST_PAUSE_SECONDS: Final = 60.0
_ATTEMPTS: Final = 3
# After this many timeouts in a row, requests fail at once for a while: otherwise every 16 images would wait for one.
_MOST_TIMEOUTS: Final = 16
_PAUSE_SECONDS: Final = 30.0
_DENIED: Final = frozenset(["DENIED", "UNAUTHORIZED"])


class Host:
    """A registry; `others` holds all configured registries by host, as only they may serve redirected blobs."""

    def __init__(self, registry: Registry, context: ssl.SSLContext, others: Mapping[str, "Host"]) -> None:
        self.registry = registry
        self.slots = asyncio.Semaphore(AT_ONCE)
        self._connections = Connections(context)
        self._credentials = Credentials(registry, self._token)
        self._others = others
        self._paused_until = 0.0
        self._timeouts = 0

    async def close(self) -> None:
        await self._connections.close()

    def timed_out(self) -> None:
        """Count a timeout; after too many in a row, requests fail at once for a while."""
        self._timeouts += 1
        if self._timeouts >= _MOST_TIMEOUTS:
            self._timeouts = 0
            self._pause(_PAUSE_SECONDS)

    async def ask(self, method: str, path: str, rest: str, accept: str, limit: int) -> Answer:
        """Send a request below /v2/<path>/ and return the response, whatever its status; raises NotPresent."""
        url = httpx.URL(f"{self.registry.origin}/v2/{path}/{rest}")
        offered = await self._credentials.offered(path)
        answer = await self._patiently(method, url, accept, offered, limit)
        if answer.status == httpx.codes.UNAUTHORIZED:
            demanded = await self._credentials.demanded(answer.headers.get_list("www-authenticate"), path)
            if demanded != offered:
                answer = await self._patiently(method, url, accept, demanded, limit)
        self._timeouts = 0
        return answer

    async def blob(self, path: str, digest: str, limit: int) -> bytes:
        """Return a blob; raises NotPresent. Follows redirects to configured registries only, without credentials."""
        answer = await self.ask("GET", path, f"blobs/{digest}", "*/*", limit)
        url = httpx.URL(f"{self.registry.origin}/v2/{path}/blobs/{digest}")
        for _ in range(_MOST_REDIRECTS):
            if answer.status not in _REDIRECTS:
                break
            url = _target(url, answer)
            other = next((each for each in self._others.values() if each.registry.origin == origin_of(url)), None)
            if other is None or url.userinfo:
                raise unsupported(f"仓库把镜像配置转到“{clip(url.host)}”，它不在配置中（ALGOPLATFORM_REGISTRIES）")
            answer = await other._connections.send("GET", url, {"accept": "*/*"}, limit)
        check(answer)
        return answer.body

    async def _patiently(self, method: str, url: httpx.URL, accept: str, header: str | None, limit: int) -> Answer:
        """Send a request; repeat it if the registry is busy and sends a Retry-After of a few seconds."""
        headers = {"accept": accept} | ({"authorization": header} if header else {})
        for attempt in range(_ATTEMPTS):
            self._require_no_pause()
            answer = await self._connections.send(method, url, headers, limit)
            wait = _retry_after(answer)
            if wait is None or attempt == _ATTEMPTS - 1:
                break
            if wait > _MOST_PATIENCE_SECONDS:
                self._pause(wait)
                break
            await asyncio.sleep(wait)
        return answer

    async def _token(self, url: httpx.URL, headers: Mapping[str, str]) -> Answer:
        self._require_no_pause()
        answer = await self._connections.send("GET", url, {"accept": "application/json", **headers}, _MAX_TOKEN)
        wait = _retry_after(answer)
        if wait:
            # Without a token, no other request can succeed.
            self._pause(wait)
        return answer

    def _require_no_pause(self) -> None:
        if time.monotonic() < self._paused_until:
            raise NotPresent("unreachable", "仓库要求稍后再试，或多次没有答复")

    def _pause(self, seconds: float) -> None:
        self._paused_until = time.monotonic() + min(seconds, _MOST_PAUSE_SECONDS)


def open_hosts(text: str) -> dict[str, Host]:
    """Parse the setting into registries by host; raises ValueError, and SettingsError for an unusable proxy."""
    hosts: dict[str, Host] = {}
    # Loading the default CA certificates takes about 25 ms: once for all registries that use them.
    context_for = cache(client_context)
    for name, registry in parse_registries(text).items():
        proxy_for(httpx.URL(registry.origin))
        hosts[name] = Host(registry, context_for(registry.ca_file), hosts)
    return hosts


def check(answer: Answer) -> None:
    """Raise NotPresent unless a response has the status 200."""
    status = answer.status
    if status == httpx.codes.OK:
        return
    if status in (401, 403):
        raise NotPresent("denied", f"仓库拒绝访问（HTTP {status}）")
    if status == httpx.codes.NOT_FOUND:
        raise _not_found(answer)
    if status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS:
        raise NotPresent("unreachable", f"仓库暂时不能答复（HTTP {status}）")
    raise unsupported(f"仓库的答复不是镜像（HTTP {status}）")


def _not_found(answer: Answer) -> NotPresent:
    """Distinguish a missing image from a 404 that no registry has sent: the latter has no error codes."""
    try:
        codes = codes_of(read_object(answer.body))
    except NotPresent:
        codes = []
    if not codes:
        return NotPresent("unreachable", "答复为404，但不是镜像仓库的答复")
    if _DENIED.intersection(codes):
        return NotPresent("denied", f"仓库拒绝访问（{clip(codes[0])}）")
    return NotPresent("missing", f"仓库中没有这个镜像（{clip(codes[0])}）")


def _target(url: httpx.URL, answer: Answer) -> httpx.URL:
    try:
        return url.join(answer.headers.get("location", "")).copy_with(fragment=None)
    except httpx.InvalidURL:
        raise unsupported("仓库要求转到的地址有误") from None


def _retry_after(answer: Answer) -> float | None:
    """Return the Retry-After of a busy registry in seconds; None if it is not busy, or sends none."""
    if answer.status not in _BUSY:
        return None
    told = answer.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit():
        return float(told[:9])
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return None
    # With the zone -0000 the time is naive. Subtracting needs no conversion to UTC, which may overflow in 9999.
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
