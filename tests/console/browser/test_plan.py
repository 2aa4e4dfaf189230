"""Plans and artifacts in a real browser that can reach only the service."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from tests.support.browsing import (
    PREFIX,
    faultless,
    faultless_everywhere,
    needs_chromium,
    pasted,
    picture,
    registered,
    visiting,
)
from tests.support.images import IMAGES
from tests.support.oci import Layout
from tests.support.plans import kubectl, worked_example
from tests.support.postgres import Postgres
from tests.support.registry import Registry, needs_registry
from tests.support.service import serving_in_background, settings_for

pytestmark = [pytest.mark.slow, needs_chromium]


def known(site: str) -> None:
    """Register the images of the worked example."""
    file = {"file": json.dumps(worked_example())}
    answer = requests.post(f"{site.removesuffix('/console')}{IMAGES}/_upload", files=file, timeout=120)
    assert answer.status_code == 200


def fill(page: Page, count: str) -> None:
    """Fill in the worked example by pasting cells of a spreadsheet."""
    pasted(page, "#cameras-0-name", "厂区\t200\t\talgo/helmet_detect:2.1.0\n大门\t50\t\talgo/plate_color:1.4")
    pasted(page, "#nodes-0-name", f"gpu-a\t{count}\t31000\t126976\t4\t15109")


def plan(page: Page) -> None:
    """Submit the form."""
    page.get_by_role("button", name="规划").last.click()


def test_plan(browser: Browser, site: str) -> None:
    """Rows are pasted, faults and missing capacity are shown, and the URL holds the whole form."""
    known(site)
    with visiting(browser, f"{site}/images") as page:
        page.get_by_role("link", name="规划").click()
        fill(page, "x")
        expect(page.locator("#cameras-1-images")).to_have_value("algo/plate_color:1.4")
        page.get_by_role("button", name=re.compile("^加一行")).first.click()
        expect(page.locator("#cameras-2-name")).to_be_focused()
        page.get_by_role("button", name="删除 摄像头 第 3 行").click()
        plan(page)
        page.get_by_role("alert").get_by_role("link", name=re.compile("count")).click()
        expect(page.locator("#nodes-0-count")).to_be_focused()
        faultless(page)
        page.locator("#nodes-0-count").fill("1")
        plan(page)
        expect(page.get_by_text("有 17 个副本放不下")).to_be_visible()
        expect(page).to_have_url(re.compile(r"nodes\.count=1.*#result"))
        faultless_everywhere(page)
        picture(page, "plan-missing")
        page.locator("#nodes-0-count").fill("3")
        page.keyboard.press("Control+s")
        expect(page.get_by_text("全部放得下")).to_be_visible()
        assert page.locator(".bars svg").count() == 12
        bar = page.locator(".bars .planned").first.bounding_box()
        assert bar and bar["width"] > 100
        page.go_back()
        expect(page.get_by_text("有 17 个副本放不下")).to_be_visible()
        with visiting(browser, page.url) as other:
            expect(other.locator("#cameras-1-name")).to_have_value("大门")
            other.get_by_role("button", name="English").click()
            expect(other.get_by_text("17 replicas do not fit")).to_be_visible()
            faultless(other)


def test_pasted_cluster(browser: Browser, site: str) -> None:
    """Output of kubectl replaces the nodes; the page says that it cannot be shared."""
    known(site)
    cluster = kubectl()
    text = json.dumps({"items": cluster["nodes"]["items"] + cluster["pods"]["items"]}, indent=4)
    with visiting(browser, f"{site}/plan") as page:
        pasted(page, "#cameras-0-name", "厂区\t20\t\talgo/helmet_detect:2.1.0")
        page.get_by_text("或粘贴集群的现状").click()
        page.locator("#kubectl").fill(text)
        plan(page)
        expect(page.get_by_text("此页不能分享或刷新")).to_be_visible()
        expect(page.locator(".bars")).to_contain_text("已用")
        expect(page.locator("#kubectl")).to_have_value(text)
        faultless(page)


@pytest.mark.parametrize("root", ["direct", "prefix kept"])
def test_without_script(browser: Browser, postgres: Postgres, root: str) -> None:
    """The form works without script, without a prefix and with one that the ingress keeps."""
    prefix = "" if root == "direct" else PREFIX
    with postgres.database() as dsn, serving_in_background(settings_for(dsn, root_path=prefix)) as url:
        site = f"{url}{prefix}/console"
        known(site)
        with visiting(browser, f"{site}/plan", java_script_enabled=False) as page:
            page.get_by_role("button", name=re.compile("^加一行")).first.click()
            expect(page.locator("#cameras .row")).to_have_count(2)
            values: dict[str, Any] = {"name": "gpu-a", "cpu": 31000, "memory": 126976, "cardCount": 4}
            for name, value in (values | {"cardMemory": 15109}).items():
                page.locator(f"#nodes-0-{name}").fill(str(value))
            for name, value in (("name", "x"), ("channels", "5"), ("images", "algo/helmet_detect:2.1.0")):
                page.locator(f"#cameras-1-{name}").fill(value)
            plan(page)
            expect(page.get_by_text("全部放得下")).to_be_visible()
            expect(page).to_have_url(re.compile(re.escape(f"{site}/plan?")))
            page.get_by_role("link", name="本次规划的链接").click()
            expect(page.locator("#cameras-0-name")).to_have_value("x")


@needs_registry
def test_artifacts(browser: Browser, postgres: Postgres, tmp_path: Path) -> None:
    """An image is drafted, registered and verified, and its digest is copied."""
    layout = Layout(tmp_path / "layout")
    layout.tag(layout.image({"Env": ["A=1", "9=2"], "ExposedPorts": {"80/tcp": {}}}), "a")
    registry = Registry(tmp_path)
    with (
        postgres.database() as dsn,
        registry.running(),
        serving_in_background(settings_for(dsn, registries=SecretStr(registry.setting()))) as url,
    ):
        registry.push(layout.folder, "a", "algo/x:1.0")
        registered(f"{url}/console")
        with visiting(browser, f"{url}/console/images/new") as page:
            page.get_by_label("从仓库中的镜像起草").fill(f"{registry.host}/algo/none:1.0")
            page.get_by_role("button", name="起草").click()
            page.get_by_role("alert").get_by_role("link").click()
            expect(page.locator("#from")).to_be_focused()
            faultless(page)
            page.locator("#from").fill(f"{registry.host}/algo/x:1.0")
            page.get_by_role("button", name="起草").click()
            expect(page.locator("#imagePorts-0")).to_have_value("port-80")
            expect(page.get_by_role("alert").first).to_contain_text("没有采用")
            faultless(page)
            for name in ("factory", "algoName"):
                page.locator(f"#{name}").fill("x")
            page.locator("#algoType").select_option("1")
            page.get_by_role("button", name="保存").click()
            page.get_by_role("button", name="立即校验").click()
            expect(page.locator("#artifact")).to_contain_text("linux/amd64")
            page.get_by_role("button", name="复制 摘要").click()
            expect(page.locator("#said")).to_have_text("已复制")
            faultless_everywhere(page)
            picture(page, "artifact")
            page.goto(f"{url}/console/images")
            expect(page.locator("tbody")).to_contain_text("在仓库中")
            faultless(page)
