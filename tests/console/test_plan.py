"""The page for plans: the form, its URL, pasted output of kubectl, and refusals."""

import asyncio
import json
import random
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
from hypothesis import given
from hypothesis import strategies as st

from algoplatform.api.http.urlencoded import fields_of
from algoplatform.console.plan_form import COLUMNS, VALUES, PlanForm
from algoplatform.domain.errors import BadRequest
from tests.console.test_hostile import TEXTS
from tests.support.console import inputs, post, text_of
from tests.support.plans import known, kubectl, planned, worked_example
from tests.support.service import serving, settings_for

Pairs = list[tuple[str, str]]

CAMERAS: Pairs = [
    ("cameras.name", "厂区"),
    ("cameras.channels", "200"),
    ("cameras.pictures", ""),
    ("cameras.images", "algo/helmet_detect:2.1.0"),
    *[(f"cameras.{name}", " ") for name in COLUMNS["cameras"]],
    ("cameras.name", "大门"),
    ("cameras.channels", "50"),
    ("cameras.pictures", ""),
    ("cameras.images", "algo/plate_color:1.4，algo/frames:1.0"),
]


def nodes(count: object = 4, **more: str) -> Pairs:
    """Return the inputs for nodes with four T4 cards each."""
    row = {"name": "gpu-a", "count": str(count), "cpu": "31000", "memory": "126976"}
    return [(f"nodes.{name}", text) for name, text in (row | {"cardCount": "4", "cardMemory": "15109"} | more).items()]


async def show(client: httpx.AsyncClient, fields: Pairs, **headers: str) -> httpx.Response:
    """Get the URL with these inputs."""
    return await client.get(f"/console/plan?{urlencode(fields)}", headers=headers)


def fault_places(page: str) -> set[str]:
    """Return the ids of the inputs with a fault, and check that each has a link in the list of faults."""
    places = set(re.findall(r'id="([\w.-]+)"[^>]*aria-invalid="true" aria-describedby="\1-fault"', page))
    assert set(re.findall(r'<li><a href="#([\w.-]+)">', page)) == places
    assert all(f'id="{place}-fault"' in page for place in places)
    return places


async def test_the_worked_example(client: httpx.AsyncClient) -> None:
    """The form redirects to a URL with all inputs, which shows demand, totals and a bar for each card."""
    await known(client, *worked_example())
    answer = await post(client, "/plan", [*CAMERAS, *nodes(), ("simulate", "3")])
    assert answer.status_code == 303
    address, _, fragment = answer.headers["location"].partition("#")
    assert fragment == "result"
    page = (await client.get(address)).text
    text = text_of(page)
    assert "全部放得下：35 个副本" in text
    assert re.search(r"algo/helmet_detect:2.1.0200 路8 路× 25显存 4,000 MiB", text)
    assert "显存115,000 MiB217,568 MiB241,744 MiB" in text
    assert "模拟调度 3 次" in text
    assert page.count('<rect class="planned" x=') == 16
    assert len(re.findall(r"卡 \d", text)) == 16
    assert f'href="{address.replace("&", "&amp;")}#result"' in page
    groups = [
        {"name": "厂区", "channels": 200, "images": ["algo/helmet_detect:2.1.0"]},
        {"name": "大门", "channels": 50, "images": ["algo/plate_color:1.4", "algo/frames:1.0"]},
    ]
    node = {"name": "gpu-a", "count": 4, "cpu": 31000, "memory": 126976, "cards": [{"count": 4, "memory": 15109}]}
    found = await planned(client, cameras=groups, nodes=[node])
    for row in found["placements"]:
        assert f"{row['image']} × {row['replicas']}" in text
    # The blank row between the groups is dropped.
    again = [pair for pair in inputs(page) if pair[0].startswith("cameras.") and pair[1]]
    assert sorted(again) == sorted(pair for pair in CAMERAS if pair[1].strip())


async def test_what_is_missing(client: httpx.AsyncClient) -> None:
    """Pods that do not fit are shown with the scheduler's reasons, the proof, and the nodes to add."""
    await known(client, *worked_example())
    page = (await show(client, [*CAMERAS, *nodes(1)])).text
    text = text_of(page)
    assert "有 17 个副本放不下" in text
    assert "再加 2 台与 gpu-a 相同的节点就放得下" in text
    assert "Insufficient nvidia.com/gpumem" in text and "总量不足" in text
    assert 'class="missing"><th scope="row">显存' in page
    small = text_of((await show(client, [*CAMERAS, *nodes(1, cardMemory="2000")])).text)
    assert "加多少台这样的节点也放不下" in small and "每张卡都太小" in small
    english = {"cookie": "language=en"}
    assert "17 replicas do not fit" in (await show(client, [*CAMERAS, *nodes(1)], **english)).text


FAULTY: list[tuple[Pairs, set[str]]] = [
    ([("cameras.name", "x")], {"cameras-0-channels", "cameras-0-images", "nodes"}),
    ([*CAMERAS, *nodes("x", cpu="-1")], {"nodes-0-count", "nodes-0-cpu"}),
    ([*CAMERAS, *nodes(), *nodes()], {"nodes-1-name"}),
    ([*CAMERAS, *nodes(cardMemory="")], {"nodes-0-cardMemory"}),
    ([*CAMERAS, *nodes(cardCount="0")], {"nodes-0-cardCount"}),
    ([*CAMERAS, *nodes(10**9)], {"nodes-0-count"}),
    ([*CAMERAS, *nodes(2000, cardCount="100")], {"nodes"}),
    (
        [("cameras.name", "y"), ("cameras.channels", "1.5"), ("cameras.images", "y" * 400), *nodes()],
        {"cameras-0-channels", "cameras-0-images"},
    ),
    (
        [*CAMERAS, *nodes(), ("reserve.gpuMemoryPercent", "100"), ("reserve.nodes", "-1"), ("simulate", "99")],
        {"reserve.gpuMemoryPercent", "reserve.nodes", "simulate"},
    ),
    ([*CAMERAS, *nodes(), ("profile", "<x>"), ("unknownChannels", "two")], {"profile", "unknownChannels"}),
    ([*CAMERAS, ("kubectl", "{]")], {"kubectl"}),
    ([*CAMERAS, ("kubectl", '{"items": [1, {"kind": "Pod"}]}')], {"kubectl"}),
    ([("kubectl", "[1]")], {"kubectl"}),
    ([], {"cameras", "nodes"}),
]


async def test_faults(client: httpx.AsyncClient) -> None:
    """Every fault is shown at its input, after POST and after GET, and everything typed is kept."""
    for fields, places in FAULTY:
        answer = await post(client, "/plan", fields)
        assert (answer.status_code, fault_places(answer.text)) == (422, places)
        shown = inputs(answer.text)
        for name, text in fields:
            assert not text.strip() or (name, text) in shown or name in ("profile", "unknownChannels")
        if fields:
            assert fault_places((await show(client, fields)).text) == places


async def test_refusals(client: httpx.AsyncClient, database_url: str) -> None:
    """For unknown images, images without channels, and a busy worker, the form is shown again."""
    await known(client, *worked_example())
    await known(client, {"imageName": "algo/none", "imageTag": "1", "factory": "x", "algoName": "y", "algoType": "1"})
    group = [("cameras.name", "x"), ("cameras.channels", "5")]
    unknown = await show(client, [*group, ("cameras.images", "algo/gone:1"), *nodes()])
    assert (unknown.status_code, "镜像不存在：algo/gone:1" in unknown.text) == (404, True)
    assert ("cameras.images", "algo/gone:1") in inputs(unknown.text)
    fields = [*group, ("cameras.images", "algo/none:1"), *nodes()]
    assert "没有tvChannel，按1个副本计算" in (await show(client, fields)).text
    refused = await show(client, [*fields, ("unknownChannels", "refuse")])
    assert (refused.status_code, fault_places(refused.text)) == (422, {"unknownChannels"})
    many = [*CAMERAS, *nodes(1000), ("simulate", "20")]
    answers = await asyncio.gather(*(show(client, many) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(("nodes.count", "1000") in inputs(answer.text) for answer in answers)


async def test_kubectl(client: httpx.AsyncClient) -> None:
    """Pasted output replaces the nodes and adds running pods; the page says that its URL does not contain it."""
    await known(client, *worked_example())
    cluster = kubectl()
    pasted = {"kind": "List", "items": cluster["nodes"]["items"] + cluster["pods"]["items"]}
    answer = await post(client, "/plan", [*CAMERAS, ("kubectl", json.dumps(pasted, indent=4))])
    assert answer.status_code == 200
    text = text_of(answer.text)
    assert "粘贴的内容（或过长的输入）不在地址中" in text
    assert json.loads(dict(inputs(answer.text))["kubectl"]) == pasted
    groups = [
        {"name": "厂区", "channels": 200, "images": ["algo/helmet_detect:2.1.0"]},
        {"name": "大门", "channels": 50, "images": ["algo/plate_color:1.4", "algo/frames:1.0"]},
    ]
    found = await planned(client, cameras=groups, kubectl=cluster)
    assert f"显存{found['totals']['gpuMemory']['need']:,} MiB{found['totals']['gpuMemory']['usable']:,} MiB" in text
    for row in found["placements"]:
        assert f"{row['image']} × {row['replicas']}" in text
    assert re.search(r"已用 \d", text)
    both = await post(client, "/plan", [*CAMERAS, *nodes(), ("kubectl", json.dumps(pasted))])
    assert (both.status_code, fault_places(both.text)) == (422, {"nodes"})


async def test_large_ones(client: httpx.AsyncClient, database_url: str) -> None:
    """A large paste is planned but not sent back; one above the limit is refused; long input is not in the URL."""
    await known(client, *worked_example())
    pasted = json.dumps({"items": kubectl()["nodes"]["items"]}) + " " * 3
    padded = pasted[:-4] + "," + '"x":' + json.dumps("y" * 1500 * 1024) + "}"
    answer = await post(client, "/plan", [*CAMERAS, ("kubectl", padded)])
    assert (answer.status_code, "没有随页面返回" in answer.text, len(answer.text) < 200_000) == (200, True, True)
    groups = [("cameras.name", f"组{at}") for at in range(300)] + [("cameras.channels", "1")] * 300
    groups += [("cameras.images", "algo/frames:1.0")] * 300
    answer = await post(client, "/plan", [*groups, *nodes()])
    assert (answer.status_code, "此页不能分享" in answer.text) == (200, True)
    async with serving(settings_for(database_url, max_upload_bytes=100_000)) as small:
        assert (await post(small, "/plan", [("kubectl", "x" * 100_001)])).status_code == 413


async def test_rows_without_script(client: httpx.AsyncClient) -> None:
    """Without script, buttons add and remove rows on the server; nothing is planned."""
    page = (await client.get("/console/plan")).text
    assert [name for name, _ in inputs(page)].count("cameras.name") == 1
    more = (await post(client, "/plan", [*CAMERAS, ("do", "add:cameras")])).text
    assert [text for name, text in inputs(more) if name == "cameras.name"] == ["厂区", " ", "大门", ""]
    less = (await post(client, "/plan", [*CAMERAS, ("do", "remove:cameras:1")])).text
    assert [text for name, text in inputs(less) if name == "cameras.name"] == ["厂区", "大门"]
    for strange in ("", "add", "add:x", "remove:cameras", "remove:cameras:99", "remove:nodes:-1", "remove:cameras:x"):
        assert (await post(client, "/plan", [*CAMERAS, ("do", strange)])).status_code == 200


async def test_hostile(client: httpx.AsyncClient) -> None:
    """Strange input, by POST or GET, is shown as text on a page."""
    chance = random.Random(18)
    names = [*VALUES, "kubectl", "do", "x", *(f"{part}.{name}" for part in COLUMNS for name in COLUMNS[part])]
    for _ in range(50):
        fields = [(name, chance.choice(TEXTS)) for name in chance.choices(names, k=chance.randint(1, 20))]
        asked = [pair for pair in fields if len(pair[1]) < 1000]
        for answer in (await post(client, "/plan", fields), await show(client, asked)):
            assert answer.status_code < 500, fields
            for evil in ("<script>alert", "<img src=x", "' onfocus", ">49<"):
                assert evil not in answer.text
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert (await client.post("/console/plan", data={"kubectl": "x"}, headers=foreign)).status_code == 403
    assert (await client.get("/console/plan?%ff=%ff")).status_code == 400


ROW = st.fixed_dictionaries({name: st.text(max_size=8) for name in COLUMNS["nodes"]})


@given(st.lists(ROW, max_size=4))
def test_an_address_holds_the_input(rows: list[dict[str, str]]) -> None:
    """The query of the URL restores the form."""
    form = PlanForm({"cameras": [], "nodes": rows}, {}, "")
    form.drop_blank()
    again = PlanForm.read(fields_of(form.query().encode()))
    assert again.body() == form.body()


@given(
    st.text("a中%+&= 4", max_size=40)
    | st.lists(st.sampled_from(["%", "%4", "%41", "%e4%b8%ad", "&", "="])).map("".join)
)
def test_fields(text: str) -> None:
    """Forms are parsed as by the standard library."""
    try:
        expected: Any = parse_qsl(text.encode().decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        expected = None
    try:
        found: Any = fields_of(text.encode())
    except BadRequest:
        found = None
    assert found == expected


def test_long_fields() -> None:
    """Long texts are decoded in chunks, which never split a percent-encoded character."""
    for length in range(65_530, 65_540):
        assert fields_of(b"a=" + b"x" * length + b"%E4%B8%AD") == [("a", "x" * length + "中")]
