"""One user's tour of the whole console, and an import into another service."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.support.browsing import SAMPLE, changed, needs_chromium, pasted, registered, stored, visiting
from tests.support.images import IMAGES
from tests.support.postgres import Postgres
from tests.support.service import serving_in_background, settings_for

pytestmark = [pytest.mark.slow, needs_chromium]
NAME = "walk/plate"


def test_walk(browser: Browser, postgres: Postgres, tmp_path: Path) -> None:
    """Copy with faults, fix them, see users, conflict, history, restore, render, delete, export, import."""
    file = tmp_path / "list.json"
    with (
        postgres.database() as dsn,
        postgres.database() as other_dsn,
        serving_in_background(settings_for(dsn)) as url,
        serving_in_background(settings_for(other_dsn)) as other_url,
    ):
        requests.post(f"{url}{IMAGES}/_upload", files={"file": SAMPLE.read_bytes()}, timeout=120).raise_for_status()
        with visiting(browser, f"{url}/console/images", accept_downloads=True) as page:
            image_id = _copy(page)
            user_id = registered(f"{url}/console", dependencyServiceId=f"{NAME}:3.0")
            _see_users(page)
            _change_while_others_do(page, f"{url}/console", image_id)
            _restore(page)
            assert stored(f"{url}/console", image_id)["memRequests"] == 4096
            _render(page)
            _delete(page, f"{url}/console/images/{user_id}")
            _export(page, f"{url}/console/images", file)
        with visiting(browser, f"{other_url}/console/import") as page:
            _import(page, file)
        assert _records(other_url) == _records(url)
        assert f"{NAME}:3.0" in {f"{record['imageName']}:{record['imageTag']}" for record in _records(other_url)}


def _copy(page: Page) -> str:
    page.locator("#searchCondition").fill("车牌")
    expect(page.locator("main table tbody tr")).to_have_count(2)
    page.get_by_role("link", name="algo/plate_recognize:3.0").click()
    page.get_by_role("link", name="复制为新镜像").click()
    page.locator("#imageName").fill("Walk/Plate")
    page.locator("#memRequests").fill("4 GB")
    pasted(page, "#imageMount-0", "/data\nlogs")
    page.get_by_role("button", name="保存").click()
    alert = page.get_by_role("alert").filter(has_text="需要修改")
    expect(alert.get_by_role("link")).to_have_count(3)
    page.locator("#imageName").fill(NAME)
    page.locator("#memRequests").fill("4096")
    page.locator("#imageMount-1").fill("/logs")
    page.get_by_role("button", name="保存").click()
    expect(page.locator("h1")).to_contain_text(f"{NAME}:3.0")
    expect(page.locator("main")).to_contain_text("/logs")
    return page.url.rpartition("/")[2]


def _see_users(page: Page) -> None:
    page.reload()
    expect(page.locator("main")).to_contain_text("walk/n")
    page.get_by_role("link", name="依赖图").click()
    expect(page.locator("section", has_text="用到它的镜像")).to_contain_text("1 步")
    page.get_by_role("link", name="删除").click()
    expect(page.get_by_text("1 个镜像依赖它")).to_be_visible()
    expect(page.get_by_role("button", name="删除")).to_have_count(0)
    page.get_by_role("link", name="取消").click()


def _change_while_others_do(page: Page, site: str, image_id: str) -> None:
    page.get_by_role("link", name="编辑").click()
    expect(page.locator("#memRequests")).to_be_visible()
    changed(site, image_id, tvChannel=3)
    page.locator("#memRequests").fill("8192")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("他人改为：3")).to_be_visible()
    page.get_by_role("button", name="保存").click()
    expect(page.locator("main")).to_contain_text("第 3 版")
    assert [stored(site, image_id)[name] for name in ("memRequests", "tvChannel")] == [8192, 3]


def _restore(page: Page) -> None:
    page.get_by_role("link", name="历史").click()
    expect(page.locator("#v3 .diff tbody tr")).to_have_count(1)
    expect(page.locator("#v2 .diff")).to_contain_text("tvChannel")
    page.get_by_role("button", name="恢复到第 1 版").click()
    expect(page.locator("main")).to_contain_text("第 4 版")


def _render(page: Page) -> None:
    page.get_by_role("link", name="部署文件").click()
    expect(page.locator("pre")).to_contain_text("Deployment")
    expect(page.locator("pre")).to_contain_text("4096Mi")
    with page.expect_download() as download:
        page.get_by_role("link", name="下载").click()
    assert "4096Mi" in Path(download.value.path()).read_text()


def _delete(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("link", name="删除").click()
    page.get_by_role("button", name="删除 walk/n").click()
    expect(page.get_by_text("此镜像已删除。")).to_be_visible()


def _export(page: Page, address: str, file: Path) -> None:
    page.goto(address)
    with page.expect_download() as download:
        page.get_by_role("link", name="导出这些镜像").click()
    download.value.save_as(file)


def _import(page: Page, file: Path) -> None:
    number = len(json.loads(file.read_bytes())["res"])
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="预览").click()
    expect(page.locator("#result")).to_contain_text(f"{number} 新增")
    page.get_by_role("button", name="写入").click()
    expect(page.locator("#result")).to_contain_text("已写入")
    page.get_by_role("link", name="回到列表").click()
    expect(page.locator("#count")).to_have_text(f"共 {number} 个镜像")


def _records(url: str) -> list[dict[str, Any]]:
    answer = requests.get(f"{url}{IMAGES}/_search", timeout=120).json()
    return [{**record, "imageId": None} for record in answer["res"]["data"]]
