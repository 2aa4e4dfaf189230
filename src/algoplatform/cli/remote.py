"""A registry that the command line reaches by HTTP."""

import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import httpx

from algoplatform.cli.registries import Advance, Unreachable, writer
from algoplatform.domain.errors import AlgoplatformError, BadRequest, FileRefused
from algoplatform.domain.faults import Code, Fault, RecordFault

_IMAGES: Final = "/algoPlatform/images"
# A failure in this form has its true HTTP status, whatever the service does for clients that read only the body.
_PROBLEM: Final = {"accept": "application/problem+json"}
_NUMBER: Final = re.compile(r"[0-9]+")


class Remote:
    """A registry by its HTTP address."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, token: str) -> AsyncIterator[Self]:
        """Reach the service at the address; Unreachable where it cannot be."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        timeout = httpx.Timeout(30, read=None, write=None)
        try:
            async with httpx.AsyncClient(base_url=url, timeout=timeout, headers=headers) as client:
                yield cls(client)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(str(error).partition("\n")[0] or type(error).__name__) from error

    async def search(self, text: str) -> list[dict[str, Any]]:
        """Find the images that hold the text."""
        answer = await self._client.get(
            f"{_IMAGES}/_search", params={"searchCondition": text, "page": 1, "pageSize": 1000}
        )
        found: list[dict[str, Any]] = _read(answer)["data"]
        return found

    async def export(self, file: BinaryIO) -> None:
        """Write every image to a file, as _load answers it."""
        async with self._client.stream("POST", f"{_IMAGES}/_load", headers=_PROBLEM) as answer:
            if answer.status_code != httpx.codes.OK or "content-disposition" not in answer.headers:
                await answer.aread()
                _read(answer)
                raise _stranger(answer)
            write = writer(file)
            async for chunk in answer.aiter_bytes():
                await write(chunk)

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]:
        """Import a file, all or nothing."""
        with _Watched(path, advance) as file:
            answer = await self._client.post(
                f"{_IMAGES}/_upload",
                params={"dryRun": str(dry_run).lower()},
                files={"file": (path.name, file, "application/json")},
                headers=_PROBLEM,
            )
        counts: dict[str, int] = _read(answer)
        return counts


class _Watched(io.BufferedReader):
    """A file that tells how much of it has been read."""

    def __init__(self, path: Path, advance: Advance) -> None:
        super().__init__(io.FileIO(path))
        self._advance = advance

    def read(self, size: int | None = -1) -> bytes:
        """Read on."""
        data = super().read(size)
        self._advance(len(data))
        return data


class RemoteError(AlgoplatformError):
    """What a service at the other end refused, in its own words."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__()
        self.code = code
        self.message = message


def _read(answer: httpx.Response) -> Any:
    try:
        body = answer.json()
        if answer.is_success and body["status"] == Code.SUCCESS:
            return body["res"]
        code = Code(body.get("code") or body["status"])
        message = body.get("detail") or body["msg"]
        named = [_record_fault(entry) for entry in body.get("errors", []) if "image" in entry]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _stranger(answer) from None
    if named:
        # The answer lists as many as it has room for, and tells in words how many there are.
        told = _NUMBER.search(message)
        total = max(len(named), int(told[0]) if told else 0)
        raise FileRefused(named, total, forbidden=code is Code.FORBIDDEN)
    raise RemoteError(code, message)


def _stranger(answer: httpx.Response) -> BadRequest:
    return BadRequest(f"{answer.url.copy_with(query=None)}不是算法平台的服务：HTTP {answer.status_code}")


def _record_fault(entry: dict[str, str]) -> RecordFault:
    return RecordFault(0, entry["image"], Fault(entry["field"], Code(entry["code"]), entry["message"]))
