"""The list: filters in the URL, keyset paging, selected rows."""

import gzip
import json
import re

import httpx

from tests.support.console import post, text_of
from tests.support.images import register, upload


def rows(html: str) -> list[str]:
    """Return the names in the rows."""
    return re.findall(r'<a href="?[^" ]*images/[0-9a-f]{32}"?>([^<]+)</a>', html)


def link(html: str, word: str) -> str | None:
    """Return the target of a link of the pager."""
    found = re.search(rf'href="([^"]*)">{word}</a>', html)
    return found[1].replace("&amp;", "&") if found else None


async def filled(client: httpx.AsyncClient, number: int) -> None:
    """Register images algo/000:1, algo/001:1 ..."""
    some = [
        {
            "imageName": f"algo/{at:03}",
            "imageTag": "1",
            "factory": "易华录",
            "algoName": "车牌",
            "algoType": str(1 + at % 2),
        }
        for at in range(number)
    ]
    assert (await upload(client, some)).status_code == 200


async def test_pages_by_key(client: httpx.AsyncClient) -> None:
    """The links 下一页 and 上一页 page by key, keep the filters, and are absent at the ends."""
    await filled(client, 25)
    seen: list[list[str]] = []
    address: str | None = "/console/images?pageSize=10&factory=易华录&other=1"
    while address:
        page = (await client.get(address)).text
        seen.append(rows(page))
        address = link(page, "下一页")
        assert address is None or (address.endswith(f"after={seen[-1][-1].replace('/', '%2F').replace(':', '%3A')}"))
    assert [len(part) for part in seen] == [10, 10, 5]
    back = link(page, "上一页")
    assert back and "other" not in back
    page = (await client.get(back)).text
    assert rows(page) == seen[1]
    page = (await client.get(link(page, "上一页") or "")).text
    assert rows(page) == seen[0]
    assert link(page, "上一页") is None


async def test_rows_alone(client: httpx.AsyncClient) -> None:
    """`X-Part: rows` returns only the rows."""
    await filled(client, 2)
    answer = await client.get("/console/images?algoType=1", headers={"x-part": "rows"})
    assert rows(answer.text) == ["algo/000:1"]
    assert "<html" not in answer.text
    assert "X-Part" in answer.headers["vary"]


async def test_faults_of_filters(client: httpx.AsyncClient) -> None:
    """An invalid filter is 422, with the fault at its input; unknown parameters are ignored."""
    answer = await client.get("/console/images?eventType=abc&nonsense=1")
    assert answer.status_code == 422
    assert 'aria-describedby="eventType-fault"' in answer.text
    assert "eventType须为整数" in answer.text
    assert 'value="abc"' in answer.text


async def test_count(client: httpx.AsyncClient) -> None:
    """The number of all matches is fetched separately."""
    await filled(client, 12)
    assert (await client.get("/console/images/count")).text == "共 12 个镜像"
    assert (await client.get("/console/images/count?algoType=1&after=algo/003:1")).text == "共 6 个镜像"


async def test_changes(client: httpx.AsyncClient) -> None:
    """Images written since the page was loaded are counted; without any the status is 204."""
    page = (await client.get("/console/images")).text
    since = re.search(r'data-since="([^"]+)"', page)
    assert since
    await filled(client, 3)
    answer = await client.get("/console/images/changes", params={"since": since[1].replace("&#43;", "+")})
    assert answer.text == "3 个镜像已变化"
    assert (await client.get("/console/images/changes?since=2999-01-01T00:00:00Z")).status_code == 204


async def test_export(client: httpx.AsyncClient, other_client: httpx.AsyncClient) -> None:
    """The filtered or selected images are exported, and can be imported elsewhere."""
    await filled(client, 4)
    all_of = await client.get("/console/export?algoType=1")
    assert 'filename="image_list.json"' in all_of.headers["content-disposition"]
    ids = list(all_of.json()["res"])
    assert len(ids) == 2
    one = await client.get("/console/export", params={"selected": "1", "imageId": ids[:1]})
    assert list(one.json()["res"]) == ids[:1]
    assert (await client.get("/console/export?selected=1")).status_code == 422
    assert (await upload(other_client, all_of.content)).json()["res"]["created"] == 2


async def test_delete_selected(client: httpx.AsyncClient) -> None:
    """After confirming, each image has its own result; repeating the request is harmless."""
    needed = await register(client, "algo/base")
    user = await register(client, "algo/user", dependencyServiceId="algo/base:1.0")
    other = await register(client, "algo/other")
    chosen = [("imageId", needed), ("imageId", other)]
    asked = await post(client, "/images/delete", chosen)
    assert "删除 2 个镜像？" in asked.text
    for _ in range(2):
        done = await post(client, "/images/delete", [*chosen, ("confirm", "1")])
        assert done.status_code == 200
    assert "algo/user:1.0" in text_of(done.text)
    assert rows((await client.get("/console/images")).text) == ["algo/base:1.0", "algo/user:1.0"]
    assert (await post(client, "/images/delete", [("confirm", "1")])).status_code == 422
    assert (await post(client, "/images/delete", [("imageId", "x"), ("confirm", "1")])).status_code == 422
    assert (await client.get(f"/console/images/{user}")).status_code == 200


async def test_nothing_there(client: httpx.AsyncClient) -> None:
    """An empty list suggests the next step."""
    assert "还没有镜像" in (await client.get("/console/images")).text
    assert "没有符合条件的镜像" in (await client.get("/console/images?searchCondition=zz")).text


async def test_size_of_a_first_page(client: httpx.AsyncClient) -> None:
    """HTML, stylesheet, scripts and count for 50 rows take less than 40 KiB, 15 KiB gzipped."""
    from algoplatform.console.form import FIELDS

    some = [
        dict.fromkeys(FIELDS)
        | {
            "imageName": f"algo/plate_recognize_{at:02}",
            "imageTag": "2.1.0",
            "factory": "易华录",
            "algoName": "车牌识别",
        }
        | {
            "algoType": "1",
            "eventType": 3101,
            "gpuRequests": 4000,
            "memRequests": 4096,
            "tvChannel": 16,
            "useableFlag": "1",
        }
        for at in range(60)
    ]
    assert (await upload(client, some)).status_code == 200
    page = (await client.get("/console/images")).text
    parts = [
        address for address in re.findall(r'(?:href|src)="(/console/static/[^"]+)"', page) if "icon" not in address
    ]
    # The list's module imports the one of all pages.
    parts += [part.replace("list.js", "console.js") for part in parts if part.endswith("list.js")]
    assert len(parts) == 3
    sent = [(await client.get(address)).content for address in (*parts, "/console/images", "/console/images/count")]
    assert len(rows(page)) == 50
    assert sum(map(len, sent)) < 40 * 1024, [len(part) for part in sent]
    assert sum(len(gzip.compress(part)) for part in sent) < 15 * 1024


async def test_hostile_text(client: httpx.AsyncClient) -> None:
    """Text of a record or a URL never becomes markup."""
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    image_id = await register(
        client, factory=evil, algoName=evil, algoDesc=evil, env="A:" + json.dumps(evil).replace(",", "\\,")
    )
    for path in (f"/images/{image_id}", f"/images/{image_id}/edit", f"/images/{image_id}/history", "/images"):
        page = (await client.get(f"/console{path}", params={"searchCondition": evil[:40]})).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page


async def test_very_large_records(client: httpx.AsyncClient) -> None:
    """Records of hundreds of KiB make pages shorter, and paging still returns each of them."""
    large = dict.fromkeys(("factory", "algoName", "algoDesc", "incidentId"), "😀" * 4096)
    for start in (0, 30):
        some = [
            {"imageName": f"algo/{at:03}", "imageTag": "1", "algoType": "1", **large} for at in range(start, start + 30)
        ]
        some = [record | {"env": "A:" + "\U0001f600" * 4000, "command": "\U0001f600" * 4096} for record in some]
        assert (await upload(client, some)).status_code == 200
    seen: list[str] = []
    address: str | None = "/console/images"
    while address:
        page = (await client.get(address)).text
        assert rows(page)
        seen += rows(page)
        address = link(page, "下一页")
    assert seen == [f"algo/{at:03}:1" for at in range(60)]
