"""Requests for tests, and the examples of the API document."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx

IMAGES = "/algoPlatform/images"
DOCUMENT = Path(__file__).parents[1] / "data" / "api-document.md"
PLATFORM = {"authority": 1, "namespace": ""}


def minimal(name: str = "algo/a", tag: str = "1.0", **fields: Any) -> dict[str, Any]:
    """Return a registration with only the required fields."""
    return {
        "imageName": name,
        "imageTag": tag,
        "factory": "易华录",
        "algoName": "安全帽",
        "algoType": "1",
    } | fields


def deletion(image_id: str) -> dict[str, Any]:
    """Return the body of a delete by a user with permission."""
    return {"imageId": image_id, "userResult": PLATFORM}


async def register(client: httpx.AsyncClient, name: str = "algo/a", tag: str = "1.0", **fields: Any) -> str:
    """Register an image and return its id."""
    answer = await client.post(f"{IMAGES}/_register", json=minimal(name, tag, **fields))
    assert answer.status_code == 200, answer.text
    return answer.headers["location"].rpartition("/")[2]


async def upload(client: httpx.AsyncClient, content: Any, **query: str) -> httpx.Response:
    """Upload a file of records, given as JSON or bytes."""
    data = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    return await client.post(f"{IMAGES}/_upload", params=query, files={"file": ("image_list.json", data)})


async def records(client: httpx.AsyncClient, **conditions: Any) -> list[dict[str, Any]]:
    """Return the records of a search."""
    answer = await client.post(f"{IMAGES}/_search", json=conditions)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["res"]["data"]
    return found


async def delete(client: httpx.AsyncClient, image_id: str, **user: Any) -> httpx.Response:
    """Delete an image as a user with permission."""
    return await client.post(f"{IMAGES}/_delete", json={"imageId": image_id, "userResult": user or PLATFORM})


@cache
def document_examples() -> list[str]:
    """Return the fenced examples of the API document, in order."""
    return re.findall(r"```json\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
