"""Plans over HTTP: demand, placements, what does not fit, output of kubectl, and refusals."""

import asyncio
import json
from typing import Any

import httpx

from tests.support.images import IMAGES, register
from tests.support.plans import (
    FRAMES,
    HELMET,
    PLATE,
    T4,
    cameras,
    image,
    known,
    kubectl,
    nodes,
    planned,
    recount,
    worked_example,
)
from tests.support.service import serving, settings_for

KEYS = ["fits", "demand", "totals", "placements", "unplaced", "addNodes", "scheduler", "assumptions"]


async def refused(client: httpx.AsyncClient, **body: Any) -> tuple[int, str, list[str], str]:
    """Return HTTP status, code, fields and detail of a refusal."""
    answer = await client.post(f"{IMAGES}/_plan", json=body, headers={"accept": "application/problem+json"})
    told = answer.json()
    return answer.status_code, told["code"], [each["field"] for each in told.get("errors", [])], told["detail"]


def demand(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rows of demand by image."""
    return {row["image"]: row for row in found["demand"]}


async def test_the_worked_example(client: httpx.AsyncClient) -> None:
    """200 + 50 cameras on 4 x 4 T4: 25 replicas of helmet_detect, everything placed, confirmed by a recount."""
    await known(client, *worked_example())
    groups = cameras((200, ["algo/helmet_detect:2.1.0"]), (50, ["algo/plate_color:1.4"]))
    found = await planned(client, cameras=groups, nodes=nodes(), simulate=5)
    assert list(found) == KEYS
    rows = demand(found)
    assert {name: (row["channels"], row["perReplica"], row["replicas"]) for name, row in rows.items()} == {
        "algo/frames:1.0": (250, 50, 5),
        "algo/helmet_detect:2.1.0": (200, 8, 25),
        "algo/plate_color:1.4": (50, 10, 5),
    }
    assert found["demand"][0]["because"] == [
        {"cameras": "组1", "images": ["algo/helmet_detect:2.1.0"]},
        {"cameras": "组2", "images": ["algo/plate_color:1.4"]},
    ]
    assert rows["algo/helmet_detect:2.1.0"]["each"] == {"cpu": 2000, "memory": 4096, "gpuMemory": 4000}
    assert (found["fits"], found["unplaced"], found["addNodes"], found["assumptions"]) == (True, [], [], [])
    assert found["totals"]["gpuMemory"] == {"need": 115_000, "have": 16 * T4, "usable": 16 * (T4 * 90 // 100)}
    assert len(found["scheduler"]["pending"]) == 5
    recount(found, T4 * 90 // 100, 31000, 126976)


async def test_a_shared_dependency(client: httpx.AsyncClient) -> None:
    """A shared dependency counts once for the cameras of one group, and again for each other group."""
    await known(
        client,
        image("algo/base", "1.0", **FRAMES),
        image("algo/a", "1.0", "algo/base:1.0", **HELMET),
        image("algo/b", "1.0", "algo/base:1.0", **PLATE),
        image("algo/c", "1.0", "algo/b:1.0", **PLATE),
    )
    for groups, channels in (
        (cameras((100, ["algo/a:1.0", "algo/b:1.0"])), 100),
        (cameras((100, ["algo/a:1.0"]), (100, ["algo/b:1.0"])), 200),
        (cameras((100, ["algo/a:1.0", "algo/base:1.0"]), (7, ["algo/c:1.0"])), 107),
    ):
        row = demand(await planned(client, cameras=groups, nodes=nodes(40)))["algo/base:1.0"]
        assert (row["channels"], row["replicas"]) == (channels, -(-channels // 50))


async def test_images_in_a_circle(client: httpx.AsyncClient) -> None:
    """Each member of a cycle serves the cameras of every image that needs any member."""
    await known(
        client,
        image("algo/x", "1.0", "algo/y:1.0,algo/base:1.0", tvChannel=10),
        image("algo/y", "1.0", "algo/z:1.0", tvChannel=10),
        image("algo/z", "1.0", "algo/x:1.0", tvChannel=10),
        image("algo/top", "1.0", "algo/z:1.0,algo/top:1.0", tvChannel=10),
        image("algo/base", "1.0", tvChannel=10),
    )
    groups = cameras((100, ["algo/top:1.0"]), (7, ["algo/y:1.0"]), (1, ["algo/base:1.0"]))
    rows = demand(await planned(client, cameras=groups, nodes=nodes()))
    assert {name[5:-4]: row["channels"] for name, row in rows.items()} == {
        "base": 108,
        "x": 107,
        "y": 107,
        "z": 107,
        "top": 100,
    }
    assert rows["algo/x:1.0"]["because"][0] == {"cameras": "组1", "images": ["algo/top:1.0"]}


async def test_replicas(client: httpx.AsyncClient) -> None:
    """Replicas for channels and pictures add up; an override replaces tvChannel; images go by id or reference."""
    image_id = await register(client, "algo/a", tvChannel=8, pics=100)
    groups = [
        {"name": "x", "channels": 20, "pictures": 150, "images": [image_id, "algo/a:1.0"]},
        {"name": "y", "pictures": 51, "images": ["algo/a:1.0"]},
    ]
    [row] = (await planned(client, cameras=groups, nodes=nodes()))["demand"]
    assert (row["channels"], row["perReplica"], row["replicas"]) == (20, 8, 3 + 3)
    for name in (image_id, "algo/a:1.0"):
        [row] = (await planned(client, cameras=groups, nodes=nodes(), overrides={name: {"channelsPerReplica": 20}}))[
            "demand"
        ]
        assert (row["perReplica"], row["replicas"]) == (20, 1 + 3)


async def test_unknown_channels(client: httpx.AsyncClient) -> None:
    """Images without channels get one replica and an assumption, or with `refuse` -422 that lists all of them."""
    await known(client, image("algo/a", "1.0", "algo/b:1.0"), image("algo/b", "1.0", tvChannel=0))
    body = {"cameras": [{"name": "x", "channels": 100, "pictures": 5, "images": ["algo/a:1.0"]}], "nodes": nodes()}
    found = await planned(client, **body)
    assert [(row["perReplica"], row["replicas"]) for row in found["demand"]] == [(None, 1), (None, 1)]
    assert found["assumptions"] == [
        f"algo/{name}:1.0没有{field}，按1个副本计算" for name in "ba" for field in ("tvChannel", "pics")
    ]
    status, code, fields, told = await refused(client, **body, unknownChannels="refuse")
    assert (status, code, fields) == (422, "-422", ["tvChannel", "pics"] * 2)
    assert "algo/a:1.0没有tvChannel" in told and "algo/b:1.0没有tvChannel" in told
    overrides = {f"algo/{name}:1.0": {"channelsPerReplica": 50} for name in "ab"}
    body["cameras"][0].pop("pictures")
    found = await planned(client, **body, unknownChannels="refuse", overrides=overrides)
    assert [row["replicas"] for row in found["demand"]] == [2, 2]


async def test_what_does_not_fit(client: httpx.AsyncClient) -> None:
    """Requests above the card size or the total have a proof, the scheduler's reasons and nodes to add, if any help."""
    await known(
        client,
        image("algo/large", "1.0", tvChannel=1, gpuRequests=16000),
        image("algo/many", "1.0", tvChannel=1, gpuRequests=4000, cpuRequests=100),
    )
    found = await planned(client, cameras=cameras((3, ["algo/large:1.0"])), nodes=nodes())
    [missing] = found["unplaced"]
    assert (found["fits"], missing["image"], missing["replicas"], missing["proof"]) == (
        False,
        "algo/large:1.0",
        3,
        "card-size",
    )
    assert found["addNodes"] == []
    found = await planned(client, cameras=cameras((60, ["algo/many:1.0"])), nodes=nodes())
    [missing] = found["unplaced"]
    assert (missing["replicas"], missing["proof"] in ("sum", "pigeonhole")) == (60 - 48, True)
    assert any(each["reason"] == "Insufficient nvidia.com/gpumem" for each in missing["reasons"])
    assert found["addNodes"] == [{"like": "gpu-a", "count": 1}]
    recount(found, T4 * 90 // 100, 31000, 126976)


async def test_reserve(client: httpx.AsyncClient) -> None:
    """The reserve keeps a percentage of each card's memory free, and whole nodes."""
    await known(client, image("algo/a", "1.0", tvChannel=1, gpuRequests=15000, cpuRequests=100))
    body = {"cameras": cameras((16, ["algo/a:1.0"])), "nodes": nodes()}
    assert not (await planned(client, **body))["fits"]
    assert (await planned(client, **body, reserve={"gpuMemoryPercent": 0}))["fits"]
    found = await planned(client, **body, reserve={"gpuMemoryPercent": 0, "nodes": 1})
    assert [row["replicas"] for row in found["unplaced"]] == [4]
    assert len({row["node"] for row in found["placements"]}) == 3


PROFILES = [
    ("hami", 1000, 10, []),
    ("volcano", 1000, 10, []),
    ("aliyun", 1024, 12, []),
    ("tencent", 1024, 13, []),
    (
        "nvidia",
        T4,
        1,
        [
            f"按整份分配GPU：每个副本占一份，比gpuRequests共多占显存{30 * (T4 - 1000)}MiB",
            "按整份分配GPU，不预留每张卡的10%显存",
        ],
    ),
    (
        "nvidia-mps",
        T4 // 10,
        10,
        ["按整份分配GPU：每个副本占一份，比gpuRequests共多占显存15300MiB", "按整份分配GPU，不预留每张卡的10%显存"],
    ),
    ("nvidia-timeslice", 1000, 13, ["不限制显存：按gpuRequests计算"]),
    (
        "mig",
        T4,
        1,
        [
            f"按整份分配GPU：每个副本占一份，比gpuRequests共多占显存{30 * (T4 - 1000)}MiB",
            "按整份分配GPU，不预留每张卡的10%显存",
        ],
    ),
    ("ascend", 8192, 1, []),
]


async def test_profiles(client: httpx.AsyncClient) -> None:
    """Each profile rounds the request of 1,000 MiB and the cards of 15,109 MiB by its own rules."""
    await known(client, image("algo/a", "1.0", tvChannel=1, gpuRequests=1000, cpuRequests=10))
    for profile, each, on_a_card, assumed in PROFILES:
        found = await planned(client, profile=profile, cameras=cameras((30, ["algo/a:1.0"])), nodes=nodes(1, 2))
        assert found["demand"][0]["each"]["gpuMemory"] == each, profile
        placed = {row["card"]: row["replicas"] for row in found["placements"]}
        assert placed == {0: on_a_card, 1: on_a_card}, profile
        assert found["assumptions"] == [f"方案{profile}{told}" for told in assumed]


async def test_a_whole_card_is_not_shared(client: httpx.AsyncClient) -> None:
    """If a profile allocates whole cards, `shares` is ignored, with an assumption that says so."""
    await known(client, image("algo/a", "1.0", tvChannel=1, gpuRequests=1000, cpuRequests=10))
    rows = [nodes(1)[0] | {"cards": [{"count": 2, "memory": T4, "shares": 10}]}]
    for profile in ("nvidia", "sophon", "mig"):
        found = await planned(client, profile=profile, cameras=cameras((3, ["algo/a:1.0"])), nodes=rows)
        assert [(row["card"], row["replicas"]) for row in found["placements"]] == [(0, 1), (1, 1)], profile
        assert found["demand"][0]["each"]["gpuMemory"] == T4
        assert f"方案{profile}中每张卡只能给一个副本，不采用shares" in found["assumptions"]


async def test_units_of_a_profile(client: httpx.AsyncClient) -> None:
    """The free memory of a card is rounded down to whole units, so that the sum of what is left can be a proof."""
    await known(client, image("algo/a", "1.0", tvChannel=1, gpuRequests=1000, cpuRequests=10))
    for profile, usable in (("aliyun", 12 * 1024), ("tencent", 53 * 256)):
        body = {"profile": profile, "cameras": cameras((30, ["algo/a:1.0"])), "nodes": nodes(1, 2)}
        found = await planned(client, **body)
        assert found["totals"]["gpuMemory"]["usable"] == 2 * usable, profile
        assert {each["largestFree"] % 256 for each in found["unplaced"][0]["reasons"]} == {0}


async def test_no_gpu_by_profile(client: httpx.AsyncClient) -> None:
    """The profile `none` uses no cards; an unknown profile is 202, together with other faults."""
    await known(client, image("algo/a", "1.0", **HELMET))
    body = {"cameras": cameras((8, ["algo/a:1.0"])), "nodes": [{"name": "n", "cpu": 4000, "memory": 8192}]}
    found = await planned(client, **body, profile="none")
    assert found["placements"] == [{"node": "n", "card": None, "image": "algo/a:1.0", "replicas": 1}]
    assert found["assumptions"] == ["方案none不分配GPU：gpuRequests大于0的镜像按不用GPU计算"]
    status, code, fields, told = await refused(client, **body, profile="cuda", simulate=-1)
    assert (status, code, fields) == (422, "202", ["simulate", "profile"])
    assert "没有“cuda”这个GPU方案" in told


async def test_slices_of_several_sizes(client: httpx.AsyncClient) -> None:
    """If shares of a card are smaller than the request, the card gets no replicas."""
    await known(client, image("algo/a", "1.0", tvChannel=1, gpuRequests=2000, cpuRequests=10))
    row = {"name": "n", "cpu": 31000, "memory": 126976, "cards": [{"memory": T4}, {"memory": 24576}]}
    found = await planned(client, profile="nvidia-mps", cameras=cameras((12, ["algo/a:1.0"])), nodes=[row])
    assert [(each["card"], each["replicas"]) for each in found["placements"]] == [(1, 10)]
    assert [(each["image"], each["replicas"]) for each in found["unplaced"]] == [("algo/a:1.0", 2)]


async def test_running(client: httpx.AsyncClient) -> None:
    """Running pods reduce what is free, whether given by amounts or by an image, which need not be planned."""
    await known(client, image("algo/a", "1.0", **HELMET), image("algo/old", "1.0", **PLATE))
    body = {"cameras": cameras((24, ["algo/a:1.0"])), "nodes": nodes(1, 1)}
    assert (await planned(client, **body))["fits"]
    for running in (
        {"node": "gpu-a", "card": 0, "gpuMemory": 3000},
        {"node": "gpu-a", "card": 0, "image": "algo/old:1.0"},
        {"node": "gpu-a", "cpu": 26000},
    ):
        found = await planned(client, **body, running=[running])
        assert [row["replicas"] for row in found["unplaced"]] == [1]
    status, code, fields, _ = await refused(client, **body, running=[{"node": "gpu-a", "image": "algo/old:1.0"}])
    assert (status, code, fields) == (422, "202", ["running[0].card"])
    # Running pods may exceed a node's capacity; then nothing else fits on it.
    full = [{"node": "gpu-a", "card": 0, "cpu": 2**31 - 1, "memory": 2**31 - 1, "gpuMemory": 15000, "replicas": 50_000}]
    assert [row["replicas"] for row in (await planned(client, **body, running=full))["unplaced"]] == [3]


async def test_kubectl(client: httpx.AsyncClient) -> None:
    """Nodes and pods are read from kubectl's output: ignored nodes are named, and running pods reduce what is free."""
    await known(client, image("algo/a", "1.0", tvChannel=1, gpuRequests=5000, cpuRequests=100))
    found = await planned(
        client, cameras=cameras((30, ["algo/a:1.0"])), kubectl=kubectl(), reserve={"gpuMemoryPercent": 0}
    )
    # gpu-a: cards 0 and 2 of 15,109 MiB, 4,000 used on each, while card 1 is broken; gpu-b: 3,000 and 5,000; gpu-c: a pod has the card.
    placed = {(row["node"], row["card"]): row["replicas"] for row in found["placements"]}
    assert placed == {("gpu-a", 0): 2, ("gpu-a", 2): 2, ("gpu-b", 0): 2, ("gpu-b", 1): 2}
    [missing] = found["unplaced"]
    reasons = {each["reason"]: each["nodes"] for each in missing["reasons"]}
    assert reasons["node(s) were unschedulable"] == 1
    assert reasons["node(s) had untolerated taint {node.kubernetes.io/not-ready: }"] == 1
    assert any("master-1" in told and "gpu-d" in told and "gpu-e" in told for told in found["assumptions"])
    assert "节点gpu-a有1张GPU卡不健康，未计入：卡1" in found["assumptions"]
    assert [each["like"] for each in found["addNodes"]] != []


async def test_a_large_body(client: httpx.AsyncClient) -> None:
    """A body above the usual limit is accepted and parsed in chunks; its faults are reported as usual."""
    await known(client, image("algo/a", "1.0", tvChannel=1, gpuRequests=5000, cpuRequests=100))
    body: dict[str, Any] = {"cameras": cameras((30, ["algo/a:1.0"])), "kubectl": kubectl()}
    small = await planned(client, **body)
    ended = {"status": {"phase": "Succeeded"}, "metadata": {"managedFields": ["f" * 1000] * 20}}
    body["kubectl"]["pods"]["items"] += [ended] * 150
    assert len(json.dumps(body)) > 2 * 1024**2
    assert await planned(client, **body) == small
    body["kubectl"]["nodes"]["items"] *= 2
    status, code, fields, _ = await refused(client, **body)
    assert (status, code, fields[0]) == (422, "202", "kubectl.nodes.items[7].metadata.name")


async def test_every_fault_at_once(client: httpx.AsyncClient) -> None:
    """202 reports all faults at once, including NaN, which other operations reject as invalid JSON."""
    body = {
        "cameras": [
            {"name": "a", "channels": 0, "images": ["algo/a:1.0"]},
            {"name": "a", "channels": 1, "images": ["x"]},
        ],
        "nodes": [{"name": "n", "count": 10**9, "cpu": -1, "memory": float("nan")}],
    }
    headers = {"content-type": "application/json", "accept": "application/problem+json"}
    answer = await client.post(f"{IMAGES}/_plan", content=json.dumps(body), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "202")
    assert [each["field"] for each in answer.json()["errors"]] == [
        "cameras[0].channels",
        "cameras[1].name",
        "nodes[0].count",
        "nodes[0].cpu",
        "nodes[0].memory",
    ]


async def test_unknown_images(client: httpx.AsyncClient) -> None:
    """204 lists every unknown image, wherever it is named; an override of an unplanned image is reported as unused."""
    await register(client)
    status, code, _, told = await refused(
        client, cameras=cameras((1, ["algo/none:1.0", "algo/a:1.0"]), (1, ["0" * 32])), nodes=nodes()
    )
    assert (status, code, told) == (404, "204", f"镜像不存在：algo/none:1.0，{'0' * 32}")
    running = [{"node": "gpu-a-1", "image": "algo/gone:1.0"}]
    status, code, _, told = await refused(client, cameras=cameras((1, ["algo/a:1.0"])), nodes=nodes(), running=running)
    assert (status, code, told) == (404, "204", "镜像不存在：algo/gone:1.0")
    status, code, _, told = await refused(
        client,
        cameras=cameras((1, ["algo/none:1.0"])),
        nodes=nodes(),
        running=running,
        overrides={"algo/typo:1.0": {"channelsPerReplica": 2}, "0" * 32: {"channelsPerReplica": 2}},
    )
    assert (status, code) == (404, "204")
    assert told == f"镜像不存在：algo/none:1.0，algo/gone:1.0，algo/typo:1.0，{'0' * 32}"
    await register(client, "algo/other")
    overrides = {"algo/other:1.0": {"channelsPerReplica": 2}}
    found = await planned(client, cameras=cameras((1, ["algo/a:1.0"])), nodes=nodes(), overrides=overrides)
    assert "overrides中没有用到：algo/other:1.0，不是要规划的镜像或其依赖" in found["assumptions"]


async def test_two_overrides_of_one_image(client: httpx.AsyncClient) -> None:
    """One image given twice, by id and by reference, is accepted with equal numbers; different numbers are 202."""
    image_id = await register(client, tvChannel=8)
    body = {"cameras": cameras((100, ["algo/a:1.0"])), "nodes": nodes()}
    overrides = {"algo/a:1.0": {"channelsPerReplica": 20}, image_id: {"channelsPerReplica": 20}}
    assert [row["replicas"] for row in (await planned(client, **body, overrides=overrides))["demand"]] == [5]
    overrides[image_id] = {"channelsPerReplica": 10}
    status, code, fields, _ = await refused(client, **body, overrides=overrides)
    assert (status, code, fields) == (422, "202", [f"overrides.{image_id}"])


async def test_too_many_replicas(client: httpx.AsyncClient) -> None:
    """More than 50,000 replicas are -422, as their number depends on the records."""
    await register(client, tvChannel=1)
    status, code, fields, told = await refused(client, cameras=cameras((50_001, ["algo/a:1.0"])), nodes=nodes())
    assert (status, code, fields, told) == (422, "-422", ["cameras"], "共需要50001个副本，至多规划50000个")


async def test_formats(client: httpx.AsyncClient) -> None:
    """A plan is JSON only: another `format` is 202, and Accept changes nothing."""
    await register(client, tvChannel=1)
    body = {"cameras": cameras((3, ["algo/a:1.0"])), "nodes": nodes()}
    asked = {"accept": "application/yaml"}
    answer = await client.post(f"{IMAGES}/_plan", json=body, params={"format": "json"}, headers=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    for name in ("yaml", "svg", "x"):
        answer = await client.post(f"{IMAGES}/_plan", json=body, params={"format": name})
        assert (answer.status_code, answer.json()["status"]) == (422, "202")
        assert answer.json()["msg"] == f"format须为json之一，不能为“{name}”"


NO_BODIES = [b"", b"{", b"[]", b"[" * 100_000, b'{"cameras": 1, "cameras": 2}', b"[" + b"," * 4_000_001]


async def test_no_body(client: httpx.AsyncClient) -> None:
    """A body that is not a JSON object is refused as a whole."""
    for content in NO_BODIES:
        answer = await client.post(f"{IMAGES}/_plan", content=content, headers={"content-type": "application/json"})
        assert (answer.status_code in (400, 422), answer.json()["status"]) == (True, "-1")
    assert (await client.post(f"{IMAGES}/_plan", data={"a": "b"})).status_code == 415


async def test_one_at_a_time(client: httpx.AsyncClient) -> None:
    """A worker runs one plan at a time; concurrent ones get -429, and the slot is released afterwards."""
    await known(
        client,
        *(image("algo/a", f"1.{n}", tvChannel=1, cpuRequests=7 + n, gpuRequests=300 + 7 * n) for n in range(100)),
    )
    body = {"cameras": cameras((40, [f"algo/a:1.{n}" for n in range(100)])), "nodes": nodes(200), "simulate": 5}
    answers = await asyncio.gather(*(client.post(f"{IMAGES}/_plan", json=body) for _ in range(3)))
    said = {(answer.status_code, answer.json()["status"]) for answer in answers}
    assert said == {(200, "0"), (429, "-429")}
    assert (await client.post(f"{IMAGES}/_plan", json=body | {"simulate": 0})).status_code == 200


async def test_the_sites_defaults(database_url: str) -> None:
    """Profile, default requests, tolerations and node selector come from the settings of rendering."""
    render = {
        "profile": "volcano",
        "default_cpu": "250",
        "default_memory": "512",
        "node_selector": "gpu=on",
        "tolerations": "node-role.kubernetes.io/control-plane",
    }
    async with serving(settings_for(database_url, render=render)) as client:
        await known(client, image("algo/a", "1.0", tvChannel=1))
        rows = [
            *nodes(1, labels={"gpu": "off"}),
            {"name": "m", "cpu": 31000, "memory": 126976, "labels": {"gpu": "on"}},
        ]
        found = await planned(client, cameras=cameras((3, ["algo/a:1.0"])), nodes=rows)
        assert "未计入的节点：gpu-a（node(s) didn't match Pod's node affinity/selector）" in found["assumptions"]
        assert found["demand"][0]["each"] == {"cpu": 250, "memory": 512, "gpuMemory": 0}
        assert {row["node"] for row in found["placements"]} == {"m"}
        found = await planned(client, cameras=cameras((3, ["algo/a:1.0"])), kubectl=kubectl())
        told = next(told for told in found["assumptions"] if told.startswith("未计入的节点"))
        assert "cpu-1（node(s) didn't match Pod's node affinity/selector）" in told
        assert "master-1（node(s) didn't match" in told
