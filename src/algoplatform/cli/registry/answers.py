"""Reads the responses of a service: results, refusals with their messages, and responses of other servers."""

import json
import os
import re
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import httpx

from algoplatform.cli.registry.base import Unreachable, writer
from algoplatform.domain.errors import AlgoplatformError, BadRequest, FileRefused, clip
from algoplatform.domain.faults import Code, Fault, RecordFault
from algoplatform.environment import masked

_NUMBER: Final = re.compile(r"[0-9]+")
# Limit in bytes of a response kept in memory: a thousand records of 64 KiB.
_MAX_BYTES: Final = 64 * 1024 * 1024
_LAST_BYTES: Final = 4096
_PIECE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """A streamed answer: how it begins, how many bytes of that precede its content, and what follows the content."""

    head: bytes
    before: int
    tail: bytes


FINDINGS: Final = Frame(b'{"status":"0","res":{"findings":[', len(b'{"status":"0","res":'), b',"msg":"')
SARIF: Final = Frame(b'{"$schema":', 0, b"")


async def result(answer: httpx.Response) -> dict[str, Any]:
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
        raise stranger(answer) from None
    if code is Code.SUCCESS:
        raise stranger(answer)
    if named:
        total = max(len(named), int(told[0][:9]) if told else 0)
        raise FileRefused(named, total, forbidden=code is Code.FORBIDDEN)
    raise AlgoplatformError(message, code)


async def receive(answer: httpx.Response, file: BinaryIO, frame: Frame) -> None:
    """Write an answer that is too large for memory to a file; raise BadRequest if it does not begin like the frame."""
    require_plain(answer)
    write = writer(file)
    begun = b""
    async for chunk in answer.aiter_raw():
        begun += chunk[: len(frame.head) - len(begun)]
        if not frame.head.startswith(begun):
            raise stranger(answer)
        await write(chunk)


def unwrap(answer: httpx.Response, received: BinaryIO, target: BinaryIO, frame: Frame) -> None:
    """Copy the content of a received answer; the frame's tail is in the last 4 KiB."""
    size = received.seek(0, os.SEEK_END)
    received.seek(max(size - _LAST_BYTES, 0))
    last = received.read()
    end = last.rfind(frame.tail) if frame.tail else len(last)
    left = size - len(last) + end - frame.before
    if end < 0 or left < len(frame.head) - frame.before:
        raise stranger(answer)
    received.seek(frame.before)
    while left > 0:
        data = received.read(min(left, _PIECE))
        target.write(data)
        left -= len(data)


async def _content(answer: httpx.Response) -> bytes:
    require_plain(answer)
    content = bytearray()
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > _MAX_BYTES:
            raise Unreachable(f"服务无法访问：{_shown(answer.url)}的答复超过{_MAX_BYTES // 1024 // 1024}MiB")
    return bytes(content)


def require_plain(answer: httpx.Response) -> None:
    """Raise Unreachable if the answer is compressed."""
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise Unreachable(f"服务无法访问：{_shown(answer.url)}的答复被压缩，而请求未允许压缩")


def stranger(answer: httpx.Response) -> BadRequest:
    """Build the error for a response that does not come from this service."""
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
