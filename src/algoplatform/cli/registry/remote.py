"""A registry accessed by HTTP."""

import asyncio
import io
import json
import os
import socket
import ssl
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import httpx

from algoplatform.cli.registry.answers import FINDINGS, SARIF, receive, require_plain, result, stranger, unwrap
from algoplatform.cli.registry.base import LIMIT, Advance, Unreachable, writer
from algoplatform.domain.errors import ImageNotFound
from algoplatform.domain.record.model import reference_of
from algoplatform.domain.record.partial import id_of, image_named
from algoplatform.domain.search import MAX_PATTERN, check_conditions
from algoplatform.proxies import open_client, proxy_for

_IMAGES: Final = "/algoPlatform/images"
# In this format errors keep their HTTP status, even if the service answers others with 200.
_PROBLEM: Final = {"accept": "application/problem+json"}
_TIMEOUT: Final = httpx.Timeout(30, read=120, write=120)
# The service checks a file of a million records for minutes before it responds.
_IMPORT_TIMEOUT: Final = httpx.Timeout(30, read=3600, write=120)
_LAST_PORT: Final = 65535
# Images that are verified by one request.
_VERIFIED: Final = 50
# Fields that the command reads, for a service that omits them.
_NO_FACTS: Final[dict[str, Any]] = {"state": "", "digest": None, "message": None}
_RENDERED: Final = ("manifests", "order", "needs", "warnings", "assumptions")
_IMPACT: Final = ("direct", "transitive", "order", "changes")
_PLANNED: Final = ("demand", "placements", "unplaced", "addNodes", "assumptions")
_FRAMES: Final = {"application/json": FINDINGS, "application/sarif+json": SARIF}
_COUNTS: Final = ("created", "updated", "unchanged", "skipped")


class Remote:
    """A registry accessed by HTTP: does what Local does."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, token: str) -> AsyncIterator[Self]:
        """Open a client for the service; raise Unreachable if it cannot be reached."""
        address = _address(url)
        proxy = proxy_for(address)
        # No compression: a few bytes could decompress to more than fits into memory.
        headers = {"accept-encoding": "identity"} | ({"authorization": f"Bearer {token}"} if token else {})
        try:
            async with open_client(address, proxy, base_url=address, timeout=_TIMEOUT, headers=headers) as client:
                yield cls(client)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            by = f"（经由环境变量{proxy.variable}所设的代理）" if proxy else ""
            raise Unreachable(f"服务无法访问：{_reason(error)}{by}") from error

    async def search(self, text: str) -> list[dict[str, Any]]:
        return await self._search({"searchCondition": text, "pageSize": LIMIT})

    async def _search(self, params: dict[str, str | int]) -> list[dict[str, Any]]:
        # Arguments that are not UTF-8 cannot be part of a URL: they are refused here, as the service would do.
        check_conditions(params)
        async with self._client.stream("GET", f"{_IMAGES}/_search", params=params) as answer:
            found = await result(answer)
        records = found.get("data")
        if not isinstance(records, list) or not all(map(_is_record, records)):
            raise stranger(answer)
        return records

    async def export(self, file: BinaryIO) -> None:
        async with self._client.stream("POST", f"{_IMAGES}/_load", headers=_PROBLEM) as answer:
            if answer.status_code != httpx.codes.OK or "content-disposition" not in answer.headers:
                await result(answer)
                raise stranger(answer)
            require_plain(answer)
            write = writer(file)
            async for chunk in answer.aiter_raw():
                await write(chunk)

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]:
        with _Watched(path, advance) as file:
            async with self._client.stream(
                "POST",
                f"{_IMAGES}/_upload",
                params={"dryRun": str(dry_run).lower()},
                # The service ignores the file name, and a local one may not be UTF-8.
                files={"file": ("image_list.json", file, "application/json")},
                headers=_PROBLEM,
                timeout=_IMPORT_TIMEOUT,
            ) as answer:
                counts = await result(answer)
        if not all(isinstance(counts.get(name), int) for name in _COUNTS):
            raise stranger(answer)
        return {name: counts[name] for name in _COUNTS}

    async def render(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._answered("POST", "_render", _RENDERED, body)

    async def graph(self, image: str, query: Mapping[str, str]) -> dict[str, Any]:
        path = f"{await self._id(image)}/dependencies"
        return await self._answered("GET", path, ("nodes", "edges", "cycles"), params=dict(query))

    async def impact(self, image: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._answered("POST", f"{await self._id(image)}/_impact", _IMPACT, body)

    async def compare(self, query: Mapping[str, str], file: BinaryIO) -> dict[str, Any]:
        files = {"file": ("cluster.json", file, "application/json")}
        request: dict[str, Any] = {"params": dict(query), "files": files, "timeout": _IMPORT_TIMEOUT}
        return await self._answered("POST", "_drift", ("images", "assumptions"), **request)

    async def plan(self, body: object) -> dict[str, Any]:
        return await self._answered("POST", "_plan", _PLANNED, body, timeout=_IMPORT_TIMEOUT)

    async def verify(self, image: str) -> dict[str, Any]:
        found = await self._answered("POST", f"{await self._id(image)}/_verify", ("platforms",))
        return found | {name: empty for name, empty in _NO_FACTS.items() if name not in found}

    async def verify_set(self, conditions: Mapping[str, str], begin: Advance, advance: Advance) -> dict[str, Any]:
        first = await self._answered("GET", "_search", ("data",), params={**conditions, "page": 1, "pageSize": 1})
        begin(int(first.get("total", 0)))
        states: Counter[str] = Counter()
        params: dict[str, str | int] = {**conditions, "pageSize": _VERIFIED}
        # A few at a time, as a gateway in between would not wait for all of them.
        while found := await self._search(params):
            done = await self._answered("POST", "_verify", (), {"imageId": [record.get("imageId") for record in found]})
            states.update(_counts(done))
            advance(len(found))
            params["after"] = reference_of(found[-1])
        return {"total": states.total(), "states": dict(sorted(states.items()))}

    async def lint(self, query: Mapping[str, str], path: Path | None, target: BinaryIO, *, sarif: bool) -> None:
        params = {**query, "format": "sarif" if sarif else "json"}
        if path is None:
            await self._lint("GET", target, params=params)
            return
        with path.open("rb") as file:
            await self._lint(
                "POST", target, params=params, files={"file": ("image_list.json", file, "application/json")}
            )

    async def _lint(self, method: str, target: BinaryIO, **request: Any) -> None:
        sent = self._client.stream(method, f"{_IMAGES}/_lint", headers=_PROBLEM, timeout=_IMPORT_TIMEOUT, **request)
        async with sent as answer:
            kind = answer.headers.get("content-type", "").partition(";")[0]
            if answer.status_code != httpx.codes.OK or kind not in _FRAMES:
                await result(answer)
                raise stranger(answer)
            with tempfile.TemporaryFile() as received:
                await receive(answer, received, _FRAMES[kind])
                await asyncio.to_thread(unwrap, answer, received, target, _FRAMES[kind])

    async def _answered(
        self, method: str, path: str, lists: Sequence[str], body: object = None, **request: Any
    ) -> dict[str, Any]:
        headers = dict(_PROBLEM)
        if body is not None:
            # Escaped, as arguments may not be UTF-8: the service refuses those.
            request["content"] = json.dumps(body)
            headers["content-type"] = "application/json"
        async with self._client.stream(method, f"{_IMAGES}/{path}", headers=headers, **request) as answer:
            found = await result(answer)
        if not all(isinstance(found.get(name), list) for name in lists):
            raise stranger(answer)
        return found

    async def _id(self, image: str) -> str:
        """Return the id of an image, given by id or reference; raises ImageNotFound."""
        if id_of(image):
            return image
        named = image_named(image)
        if named is None:
            raise ImageNotFound(image)
        reference = str(named)
        params: dict[str, str | int] = {"searchCondition": reference[-MAX_PATTERN:], "pageSize": LIMIT}
        while found := await self._search(params):
            known = {reference_of(record): record for record in found}
            if reference in known:
                return str(known[reference].get("imageId"))
            if len(found) < LIMIT:
                break
            params["after"] = list(known)[-1]
        raise ImageNotFound(image)


class _Watched(io.BufferedReader):
    """A file that reports the number of bytes read."""

    def __init__(self, path: Path, advance: Advance) -> None:
        super().__init__(io.FileIO(path))
        self._advance = advance

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self._advance(len(data))
        return data


def _counts(found: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts by state in an answer; malformed ones are ignored."""
    states = found.get("states")
    return {name: count for name, count in states.items() if type(count) is int} if isinstance(states, dict) else {}


def _address(url: str) -> httpx.URL:
    """Parse --url, which may also be the URL of the images; an invalid URL is not quoted in the error."""
    try:
        address = httpx.URL(url.strip())
    except (httpx.InvalidURL, UnicodeError):
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host or (address.port or 0) > _LAST_PORT:
        raise Unreachable("--url须为服务的地址，如http://127.0.0.1:8000")
    path = address.path.rstrip("/").removesuffix("/images").removesuffix("/algoPlatform")
    return address.copy_with(path=path or "/", query=None, fragment=None)


def _reason(error: Exception) -> str:
    """Describe why the service cannot be reached, in the system's words if it has any."""
    if isinstance(error, httpx.ConnectTimeout):
        return "连接超时"
    if isinstance(error, httpx.TimeoutException):
        return "等待答复超时"
    if "WRONG_VERSION_NUMBER" in str(error) or "RECORD_LAYER_FAILURE" in str(error):
        return "此端口上不是HTTPS服务，请改用http://"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "服务的证书不受信任；可用环境变量SSL_CERT_FILE指明签发它的CA"
    if isinstance(error, httpx.RemoteProtocolError) and "incomplete" not in str(error):
        return "答复不是HTTP；若是HTTPS服务，请改用https://"
    said = [_said(cause) for cause in _causes(error) if isinstance(cause, OSError) and cause.errno]
    return said[-1] if said else str(error).partition("\n")[0] or type(error).__name__


def _said(error: OSError) -> str:
    # asyncio's text names the address instead of the cause, so take the system's text for the errno; errors
    # of SSL and DNS have their own numbers.
    own = isinstance(error, ssl.SSLError | socket.gaierror)
    return (error.strerror if own else os.strerror(error.errno or 0)) or type(error).__name__


def _causes(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        first = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = first or error.__cause__ or error.__context__
    return found


def _is_record(record: object) -> bool:
    return isinstance(record, dict) and all(isinstance(record.get(name), str) for name in ("imageName", "imageTag"))
