"""Images and nodes for plans, and a recount of a plan's result."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support.images import IMAGES, minimal, upload

T4: Final = 15109
KUBECTL: Final = Path(__file__).parents[1] / "data" / "kubectl"
# What one replica requests, and how many channels it serves.
HELMET: Final[dict[str, Any]] = {"tvChannel": 8, "cpuRequests": 2000, "memRequests": 4096, "gpuRequests": 4000}
PLATE: Final[dict[str, Any]] = {"tvChannel": 10, "cpuRequests": 1000, "memRequests": 2048, "gpuRequests": 3000}
FRAMES: Final[dict[str, Any]] = {"tvChannel": 50, "cpuRequests": 1000, "memRequests": 1024}


def nodes(count: int = 4, cards: int = 4, **more: Any) -> list[dict[str, Any]]:
    """Return nodes with T4 cards."""
    return [
        {
            "name": "gpu-a",
            "count": count,
            "cpu": 31000,
            "memory": 126976,
            "cards": [{"count": cards, "memory": T4}],
            **more,
        }
    ]


def cameras(*groups: tuple[int, list[str]]) -> list[dict[str, Any]]:
    """Return camera groups with these channels and images."""
    return [
        {"name": f"组{at}", "channels": channels, "images": images} for at, (channels, images) in enumerate(groups, 1)
    ]


def kubectl() -> dict[str, Any]:
    """Return the output of kubectl for a cluster with HAMi."""
    return {name: json.loads((KUBECTL / f"hami-{name}.json").read_bytes()) for name in ("nodes", "pods")}


def image(name: str, tag: str, needs: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a record."""
    return minimal(name, tag, **({"dependencyServiceId": needs} if needs else {}), **fields)


def worked_example() -> list[dict[str, Any]]:
    """Return the images of the worked example: two algorithms that depend on the same image."""
    return [
        image("algo/frames", "1.0", **FRAMES),
        image("algo/helmet_detect", "2.1.0", "algo/frames:1.0", **HELMET),
        image("algo/plate_color", "1.4", "algo/frames:1.0", **PLATE),
    ]


async def known(client: httpx.AsyncClient, *records: dict[str, Any]) -> None:
    """Register images."""
    answer = await upload(client, list(records))
    assert answer.status_code == 200, answer.text


async def planned(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """Return the `res` of a plan."""
    answer = await client.post(f"{IMAGES}/_plan", json=body)
    assert (answer.status_code, answer.json()["status"], answer.json()["msg"]) == (200, "0", "规划完成"), answer.text
    found: dict[str, Any] = answer.json()["res"]
    return found


def recount(found: dict[str, Any], card: int, cpu: int, memory: int, shares: int = 10) -> None:
    """Check that placed and unplaced replicas add up to the demand, and fit on nodes with equal cards of `card` MiB."""
    each = {row["image"]: row["each"] for row in found["demand"]}
    cards: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    rooms: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    placed: dict[str, int] = defaultdict(int)
    for row in found["placements"]:
        own, replicas = each[row["image"]], row["replicas"]
        assert (row["card"] is None) == (own["gpuMemory"] == 0) and replicas > 0
        placed[row["image"]] += replicas
        for at, amount in enumerate((own["cpu"], own["memory"], 1)):
            rooms[row["node"]][at] += amount * replicas
        if row["card"] is not None:
            cards[row["node"], row["card"]][0] += own["gpuMemory"] * replicas
            cards[row["node"], row["card"]][1] += replicas
    left = {row["image"]: row["replicas"] for row in found["unplaced"]}
    assert {row["image"]: row["replicas"] - left.get(row["image"], 0) for row in found["demand"]} == {
        name: placed[name] for name in each
    }
    assert all(used <= card and pods <= shares for used, pods in cards.values())
    assert all(used[0] <= cpu and used[1] <= memory and used[2] <= 110 for used in rooms.values())
    assert found["fits"] == (not left)
