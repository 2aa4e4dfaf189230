"""Pages about the cluster: graph, manifests, lint."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from html import unescape

import httpx
import pytest
import requests
from playwright.sync_api import Browser, expect

from algoplatform.api.routes import dependencies
from algoplatform.catalogue.cluster.graph import drawing
from algoplatform.planning.graph.model import Graph
from tests.support.browsing import faultless, faultless_everywhere, needs_chromium, visiting
from tests.support.console import text_of
from tests.support.images import IMAGES, minimal, register, upload
from tests.support.postgres import Postgres
from tests.support.service import serving_in_background, settings_for


async def test_graph(client: httpx.AsyncClient) -> None:
    """Users and dependencies are listed with their shortest distance, and each image is drawn once."""
    some = [minimal("algo/a", dependencyServiceId="algo/b:1.0,algo/c:1.0"), minimal("algo/c")]
    some += [minimal("algo/b", dependencyServiceId="algo/c:1.0"), minimal("algo/top", dependencyServiceId="algo/a:1.0")]
    assert (await upload(client, some)).status_code == 200
    ids = {
        record["imageName"]: record["imageId"]
        for record in (await client.get(f"{IMAGES}/_search")).json()["res"]["data"]
    }
    page = (await client.get(f"/console/images/{ids['algo/a']}/graph")).text
    svg = page[page.index("<svg xmlns") : page.index("</svg>", page.index("<svg xmlns"))]
    assert sorted(re.findall(r'<a class="[^"]*" href="/console/images/([0-9a-f]{32})"', svg)) == sorted(ids.values())
    assert "<title>algo/b:1.0</title>" in svg
    assert "<style>" not in page
    needs = text_of(page[page.index("它依赖的镜像") :])
    users = text_of(page[page.index("用到它的镜像") : page.index("它依赖的镜像")])
    assert re.findall(r"(algo/\w+):1.0 (\d) 步", needs) == [("algo/b", "1"), ("algo/c", "1")]
    assert re.findall(r"(algo/\w+):1.0 (\d) 步", users) == [("algo/top", "1")]
    assert (await client.get(f"/console/images/{ids['algo/a']}/graph?depth=x")).status_code == 422
    assert (await client.get(f"/console/images/{'0' * 32}/graph")).status_code == 404


async def test_cycle_and_self(client: httpx.AsyncClient) -> None:
    """The page states cycles and self-dependencies in words; an image of a cycle is in both lists."""
    some = [
        minimal("algo/a", dependencyServiceId="algo/b:1.0,algo/a:1.0"),
        minimal("algo/b", dependencyServiceId="algo/a:1.0"),
    ]
    assert (await upload(client, some)).status_code == 200
    first = (await client.get(f"{IMAGES}/_search?searchCondition=algo/a")).json()["res"]["data"][0]["imageId"]
    page = (await client.get(f"/console/images/{first}/graph")).text
    assert "循环依赖：algo/a:1.0 → algo/b:1.0" in page
    assert text_of(page).count("algo/b:1.0 1 步") == 2


async def test_large_ones_take_the_slots_of_the_api(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages share the API's limit on concurrent large drawings and closures; requests beyond it get 429."""

    def slowly(graph: Graph, link: Callable[[str], str] | None) -> bytes:
        time.sleep(0.5)
        return drawing(graph, link)

    monkeypatch.setattr(dependencies, "drawing", slowly)
    needs = [minimal(f"algo/n{number}") for number in range(60)]
    names = ",".join(f"{image['imageName']}:1.0" for image in needs)
    assert (await upload(client, [*needs, minimal("algo/top", dependencyServiceId=names)])).status_code == 200
    found = await client.get(f"{IMAGES}/_search?searchCondition=algo/top")
    image = f"/console/images/{found.json()['res']['data'][0]['imageId']}"
    for page in ("/graph", "/manifests?closure=true", "/manifests.yaml?closure=true"):
        assert (await client.get(image + page)).status_code == 200
        answers = await asyncio.gather(*(client.get(image + page) for _ in range(6)))
        assert {answer.status_code for answer in answers} == {200, 429}, page


async def test_manifests(client: httpx.AsyncClient) -> None:
    """The page has a form for the options and the YAML; the download has the same bytes as the API's answer."""
    image_id = await register(client, "algo/a", gpuRequests=4000, imagePorts="http:80:30080", memRequests=1)
    page = await client.get(f"/console/images/{image_id}/manifests?naming=image&replicas=2")
    assert page.status_code == 200
    assert re.search('kind"?: "?Deployment', unescape(page.text))
    assert "<option selected>image</option>" in page.text
    file = await client.get(f"/console/images/{image_id}/manifests.yaml?naming=image&replicas=2")
    api = await client.get(
        f"{IMAGES}/{image_id}/manifests?naming=image&replicas=2", headers={"accept": "application/yaml"}
    )
    assert file.content == api.content
    assert "attachment" in file.headers["content-disposition"]
    wrong = await client.get(f"/console/images/{image_id}/manifests?replicas=x&cards=1")
    assert wrong.status_code == 422
    assert 'href="#replicas"' in wrong.text
    impossible = await client.get(f"/console/images/{image_id}/manifests?cards=100")
    assert impossible.status_code == 422


async def test_lint(client: httpx.AsyncClient) -> None:
    """Findings link to the image and to the field in its form; filters and paging work."""
    for at in range(3):
        await register(client, f"algo/n{at}", env="A:b，C:d", imagePorts="http:80:30080")
    page = (await client.get("/console/lint")).text
    image = re.search(r"/console/images/[0-9a-f]{32}", page)
    assert image
    own = (await client.get(image[0])).text
    assert "/edit#env" in own
    assert "dependency-gone" not in own
    assert re.search(r'href="/console/images/[0-9a-f]{32}/edit#\w+"', page)
    assert "algo/n1:1.0" in (await client.get("/console/lint?searchCondition=n1")).text
    assert "下一页" in (await client.get("/console/lint?pageSize=1")).text
    assert (await client.get("/console/lint?severity=x&algoType=9")).status_code == 422
    assert "没有发现问题" in (await client.get("/console/lint?searchCondition=zzz")).text


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [1280, 320])
def test_in_browser(browser: Browser, postgres: Postgres, width: int) -> None:
    """The pages comply with the CSP and have no axe finding; copy and download work."""
    with postgres.database() as dsn, serving_in_background(settings_for(dsn)) as url:
        some = [
            minimal("algo/a", dependencyServiceId="algo/b:1.0", env="A:b，C"),
            minimal("algo/b", imagePorts="http:80"),
        ]
        requests.post(f"{url}{IMAGES}/_upload", files={"file": json.dumps(some)}, timeout=60)
        with visiting(browser, f"{url}/console/images?searchCondition=algo/a", color_scheme="dark") as page:
            page.set_viewport_size({"width": width, "height": 900})
            page.get_by_role("link", name="algo/a:1.0").click()
            page.get_by_role("link", name="依赖图").click()
            expect(page.locator("svg a")).to_have_count(2)
            faultless(page)
            page.locator("svg a", has_text="algo/b").click()
            expect(page.locator("h1")).to_contain_text("algo/b:1.0")
            page.get_by_role("link", name="部署文件").click()
            expect(page.locator("pre")).to_contain_text("Deployment")
            faultless(page)
            page.get_by_role("button", name="复制").last.click()
            expect(page.locator("#said")).to_have_text("已复制")
            with page.expect_download() as download:
                page.get_by_role("link", name="下载").click()
            assert download.value.suggested_filename.endswith(".yaml")
            page.get_by_role("link", name="检查").click()
            faultless(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
@needs_chromium
def test_graph_of_fifty(browser: Browser, postgres: Postgres) -> None:
    """Of fifty images, with a cycle and a self-dependency, each is drawn once and listed with its distance."""
    needed = [
        minimal(f"need/n{at:02}", dependencyServiceId=f"need/n{at - 1:02}:1.0" if at % 2 else None) for at in range(24)
    ]
    users = [minimal(f"user/n{at:02}", dependencyServiceId="algo/root:1.0") for at in range(24)]
    names = ",".join(f"need/n{at:02}:1.0" for at in range(1, 24, 2))
    root = minimal("algo/root", dependencyServiceId=f"algo/root:1.0,algo/ring:1.0,{names}")
    ring = minimal("algo/ring", dependencyServiceId="algo/root:1.0")
    with postgres.database() as dsn, serving_in_background(settings_for(dsn)) as url:
        some = [*needed, *users, root, ring]
        answer = requests.post(f"{url}{IMAGES}/_upload", files={"file": json.dumps(some)}, timeout=60)
        assert answer.json()["res"]["created"] == 50
        with visiting(browser, f"{url}/console/images?searchCondition=algo/root") as page:
            page.get_by_role("link", name="algo/root:1.0").click()
            page.get_by_role("link", name="依赖图").click()
            expect(page.locator("svg a")).to_have_count(50)
            drawn = page.locator("svg a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
            assert len(set(drawn)) == 50
            expect(page.get_by_text("循环依赖：algo/ring:1.0 → algo/root:1.0")).to_be_visible()
            expect(page.get_by_text("它依赖自身")).to_be_visible()
            lists = page.locator("section.card")
            expect(lists.nth(0).locator("li")).to_have_count(25)
            expect(lists.nth(1).locator("li")).to_have_count(25)
            assert lists.nth(1).locator("li", has_text="2 步").count() == 12
            for both in (lists.nth(0), lists.nth(1)):
                expect(both.locator("li", has_text="algo/ring:1.0")).to_contain_text("1 步")
            faultless_everywhere(page)
            page.locator("svg a", has_text="need/n01").click()
            expect(page.locator("h1")).to_contain_text("need/n01:1.0")
