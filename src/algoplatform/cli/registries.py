"""The two ways in which the command line reaches a registry: its database, with the web's own use cases, or its HTTP address."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import httpx

from algoplatform.domain.access import TRUSTED
from algoplatform.domain.errors import AlgoplatformError, BadRequest, FileRefused, Refused
from algoplatform.domain.faults import Code, Fault, RecordFault
from algoplatform.domain.search import check_conditions
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings

Advance = Callable[[int], None]

_CHUNK: Final = 64 * 1024
_IMAGES: Final = "/algoPlatform/images"
# A failure in this form has its true HTTP status, whatever the service does for clients that read only the body.
_PROBLEM: Final = {"accept": "application/problem+json"}
_NUMBER: Final = re.compile(r"[0-9]+")


class Registry(Protocol):
    """What the commands need of a registry."""

    async def search(self, text: str) -> list[dict[str, Any]]: ...

    async def export(self, file: BinaryIO) -> None: ...

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]: ...


@asynccontextmanager
async def open_registry(settings: Settings, url: str | None) -> AsyncIterator[Registry]:
    """Reach the registry at the URL, or else the database of the settings."""
    if url:
        token = settings.token.get_secret_value() if settings.token else ""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        timeout = httpx.Timeout(30, read=None, write=None)
        async with httpx.AsyncClient(base_url=url, timeout=timeout, headers=headers) as client:
            yield Remote(client)
    else:
        async with Runtime.open(settings) as runtime:
            await runtime.require_schema()
            yield Local(runtime)


class Local:
    """A registry by its database."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def search(self, text: str) -> list[dict[str, Any]]:
        """Find the images that hold the text."""
        conditions = check_conditions({"searchCondition": text})
        if isinstance(conditions, list):
            raise Refused(conditions)
        async with self._runtime.database.connection() as connection:
            return [
                json.loads(record) for record in await self._runtime.search.records(connection, conditions, limit=1000)
            ]

    async def export(self, file: BinaryIO) -> None:
        """Write every image to a file, as _load answers it."""
        conditions = check_conditions({})
        assert not isinstance(conditions, list)
        file.write(b'{"status":"0","res":{')
        async with self._runtime.database.connection() as connection:
            await self._runtime.transfer.export(connection, conditions, _writer(file))
        file.write('},"msg":"镜像下载成功"}'.encode())

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]:
        """Import a file, all or nothing."""
        with path.open("rb") as file:
            async with self._runtime.database.connection() as connection:
                counts = await self._runtime.transfer.load(connection, TRUSTED, file, dry_run=dry_run, progress=advance)
        return {name: getattr(counts, name) for name in counts.__slots__}


class Remote:
    """A registry by its HTTP address."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

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
            write = _writer(file)
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
        raise FileRefused(named, max(len(named), int(told[0]) if told else 0))
    raise RemoteError(code, message)


def _stranger(answer: httpx.Response) -> BadRequest:
    return BadRequest(f"{answer.url.copy_with(query=None)}不是算法平台的服务：HTTP {answer.status_code}")


def _record_fault(entry: dict[str, str]) -> RecordFault:
    return RecordFault(0, entry["image"], Fault(entry["field"], Code(entry["code"]), entry["message"]))


def _writer(file: BinaryIO) -> Callable[[bytes], Awaitable[None]]:
    async def write(data: bytes) -> None:
        await asyncio.to_thread(file.write, data)

    return write
