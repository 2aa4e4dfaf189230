"""A registry accessed by HTTP."""

import io
import json
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import httpx

from algoplatform.cli.registry.base import LIMIT, Advance, Unreachable, writer
from algoplatform.domain.errors import AlgoplatformError, BadRequest, FileRefused, clip
from algoplatform.domain.faults import Code, Fault, RecordFault
from algoplatform.domain.search import check_conditions
from algoplatform.environment import masked
from algoplatform.proxies import open_client, proxy_for

_IMAGES: Final = "/algoPlatform/images"
# In this format errors keep their HTTP status, even if the service answers others with 200.
_PROBLEM: Final = {"accept": "application/problem+json"}
_NUMBER: Final = re.compile(r"[0-9]+")
_TIMEOUT: Final = httpx.Timeout(30, read=120, write=120)
# The service checks a file of a million records for minutes before it responds.
_IMPORT_TIMEOUT: Final = httpx.Timeout(30, read=3600, write=120)
# Limit in bytes of a response kept in memory: a thousand records of 64 KiB.
_MAX_BYTES: Final = 64 * 1024 * 1024
_LAST_PORT: Final = 65535
_COUNTS: Final = ("created", "updated", "unchanged", "skipped")


class Remote:
    """A registry accessed by HTTP."""

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
        params: dict[str, str | int] = {"searchCondition": text, "pageSize": LIMIT}
        # Arguments that are not UTF-8 cannot be put into an address: refused as the service would refuse them.
        check_conditions(params)
        async with self._client.stream("GET", f"{_IMAGES}/_search", params=params) as answer:
            found = await _result(answer)
        records = found.get("data")
        if not isinstance(records, list) or not all(map(_is_record, records)):
            raise _stranger(answer)
        return records

    async def export(self, file: BinaryIO) -> None:
        async with self._client.stream("POST", f"{_IMAGES}/_load", headers=_PROBLEM) as answer:
            if answer.status_code != httpx.codes.OK or "content-disposition" not in answer.headers:
                await _result(answer)
                raise _stranger(answer)
            _require_plain(answer)
            write = writer(file)
            async for chunk in answer.aiter_raw():
                await write(chunk)

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]:
        with _Watched(path, advance) as file:
            async with self._client.stream(
                "POST",
                f"{_IMAGES}/_upload",
                params={"dryRun": str(dry_run).lower()},
                # The service reads no file name, and a local one need not be text.
                files={"file": ("image_list.json", file, "application/json")},
                headers=_PROBLEM,
                timeout=_IMPORT_TIMEOUT,
            ) as answer:
                counts = await _result(answer)
        if not all(isinstance(counts.get(name), int) for name in _COUNTS):
            raise _stranger(answer)
        return {name: counts[name] for name in _COUNTS}


class _Watched(io.BufferedReader):
    """A file that reports the number of bytes read."""

    def __init__(self, path: Path, advance: Advance) -> None:
        super().__init__(io.FileIO(path))
        self._advance = advance

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self._advance(len(data))
        return data


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


async def _result(answer: httpx.Response) -> dict[str, Any]:
    """Return the result of a response; raise a refusal of the service with its own message."""
    if answer.is_redirect:
        raise Unreachable(f"服务无法访问：{_shown(answer.url)}要求转到{_target(answer)}，请直接使用该地址")
    content = await _content(answer)
    try:
        body = json.loads(content)
        if answer.is_success and body["status"] == Code.SUCCESS and isinstance(body["res"], dict):
            return dict(body["res"])
        code = Code(body.get("code") or body["status"])
        message = body.get("detail") or body["msg"]
        named = [_record_fault(entry) for entry in body.get("errors", []) if "image" in entry]
        # The response lists as many faults as fit, and its message contains the total.
        told = _NUMBER.search(message)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _stranger(answer) from None
    if code is Code.SUCCESS:
        raise _stranger(answer)
    if named:
        total = max(len(named), int(told[0][:9]) if told else 0)
        raise FileRefused(named, total, forbidden=code is Code.FORBIDDEN)
    raise AlgoplatformError(message, code)


async def _content(answer: httpx.Response) -> bytes:
    _require_plain(answer)
    content = bytearray()
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > _MAX_BYTES:
            raise Unreachable(f"服务无法访问：{_shown(answer.url)}的答复超过{_MAX_BYTES // 1024 // 1024}MiB")
    return bytes(content)


def _require_plain(answer: httpx.Response) -> None:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise Unreachable(f"服务无法访问：{_shown(answer.url)}的答复被压缩，而请求未允许压缩")


def _is_record(record: object) -> bool:
    return isinstance(record, dict) and all(isinstance(record.get(name), str) for name in ("imageName", "imageTag"))


def _stranger(answer: httpx.Response) -> BadRequest:
    return BadRequest(f"{_shown(answer.url)}不是算法平台的服务：HTTP {answer.status_code}")


def _shown(url: httpx.URL) -> str:
    return str(url.copy_with(userinfo=b"", query=None))


def _target(answer: httpx.Response) -> str:
    try:
        return clip(masked(str(answer.url.join(answer.headers["location"]))), 255)
    except (httpx.InvalidURL, ValueError):
        return "别处"


def _record_fault(entry: dict[str, str]) -> RecordFault:
    return RecordFault(0, entry["image"], Fault(entry["field"], Code(entry["code"]), entry["message"]))
