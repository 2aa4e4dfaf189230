"""Reads answers of the identity provider, limited in size, as they must not exhaust the process's memory."""

from typing import Final

import httpx

# No compression, as a small compressed body can expand to gigabytes.
HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}
_MAX_BYTES: Final = 256 * 1024


async def read_bounded(answer: httpx.Response) -> bytes:
    """Return the body of a streamed answer; raises ValueError if it is compressed or larger than 256 KiB."""
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise ValueError("the answer is compressed, though the request forbade it")
    content = b""
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > _MAX_BYTES:
            raise ValueError("the answer is too large")
    return content
