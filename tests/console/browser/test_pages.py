"""The console in a real browser that can reach only the service."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browsing import (
    PREFIX,
    changed,
    faultless,
    faultless_everywhere,
    needs_chromium,
    pasted,
    picture,
    registered,
    stored,
    visiting,
)
from tests.support.postgres import Postgres
from tests.support.service import serving_in_background, settings_for

pytestmark = [pytest.mark.slow, needs_chromium]


def test_list_filters_and_returns(browser: Browser, site: str) -> None:
    """Typing starts a search after a pause; the URL holds the filters, so that reload and back keep them."""
    with visiting(browser, f"{site}/images") as page:
        expect(page.locator("#count")).to_have_text(re.compile(r"共 \d+ 个镜像"))
        rows = page.locator("main table tbody tr")
        page.locator("#searchCondition").fill("车牌")
        expect(rows).to_have_count(2)
        expect(page).to_have_url(re.compile("searchCondition="))
        expect(page.locator("#count")).to_have_text("共 2 个镜像")
        assert "searchCondition=" in (page.locator("#export").get_attribute("href") or "")
        page.reload()
        expect(rows).to_have_count(2)
        rows.first.locator("a").click()
        expect(page.locator("h1")).to_contain_text("algo/plate_color:1.4")
        page.go_back()
        expect(rows).to_have_count(2)
        page.get_by_label("厂商").fill("没有")
        page.get_by_role("button", name="搜索").click()
        expect(page.get_by_text("没有符合条件的镜像")).to_be_visible()
        page.go_back()
        expect(rows).to_have_count(2)


def test_no_search_while_composing(browser: Browser, site: str) -> None:
    """Nothing is searched while an input method is composing; one search follows."""
    with visiting(browser, f"{site}/images") as page:
        expect(page.locator("#count")).not_to_be_empty()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        keyboard = page.context.new_cdp_session(page)
        page.locator("#searchCondition").focus()
        for text in ("c", "ch", "che", "che'p"):
            keyboard.send(
                "Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
            )
            page.wait_for_timeout(450)
        assert asked == []
        keyboard.send("Input.insertText", {"text": "车牌"})
        expect(page.locator("main table tbody tr")).to_have_count(2)
        assert len([url for url in asked if "/images?" in url]) == 1


def test_late_answers_are_dropped(browser: Browser, site: str) -> None:
    """A slow answer never replaces a later one."""
    with visiting(browser, f"{site}/images") as page:

        def slow(route: Any) -> None:
            page.wait_for_timeout(1500)
            route.continue_()

        page.route(re.compile(r"searchCondition=helmet$"), slow)
        page.locator("#searchCondition").fill("helmet")
        page.wait_for_timeout(500)
        page.locator("#searchCondition").fill("face")
        expect(page.locator("main table tbody")).to_contain_text("face_mask")
        page.wait_for_timeout(1500)
        expect(page.locator("main table tbody")).not_to_contain_text("helmet")


def test_faults_keep_everything(browser: Browser, site: str) -> None:
    """The list of faults gets the focus; its links focus the inputs, which keep what was typed."""
    with visiting(browser, f"{site}/images/new") as page:
        page.locator("#imageName").fill("Walk/X")
        page.locator("#imageTag").fill("1.0")
        page.locator("#memRequests").fill("many")
        page.locator("#imageMount-0").fill("home")
        page.get_by_role("button", name="保存").click()
        alert = page.get_by_role("alert").filter(has_text="需要修改")
        expect(alert).to_be_focused()
        alert.get_by_role("link", name=re.compile("memRequests")).click()
        expect(page.locator("#memRequests")).to_be_focused()
        expect(page.locator("#memRequests")).to_have_value("many")
        expect(page.locator("#imageMount-0")).to_have_attribute("aria-invalid", "true")
        faultless_everywhere(page)
        picture(page, "faults")


def test_rows(browser: Browser, site: str) -> None:
    """Rows are added, removed and pasted; pasted lines become rows."""
    with visiting(browser, f"{site}/images/new") as page:
        pasted(page, "#env-0", "A=1,2\nB:x:y\n\nC=")
        keys = page.locator("#env .row input[name='env.0']")
        expect(keys).to_have_count(3)
        assert [field.input_value() for field in page.locator("#env .row input").all()] == [
            "A",
            "1,2",
            "B",
            "x:y",
            "C",
            "",
        ]
        pasted(page, "#env-2", "D:1\\,2,E:3")
        expect(keys).to_have_count(5)
        pasted(page, "#imagePorts-0", "http:80:30080,rtsp:554")
        assert [field.input_value() for field in page.locator("#imagePorts .row input").all()] == [
            *("http", "80", "30080"),
            *("rtsp", "554", ""),
        ]
        page.get_by_role("button", name=re.compile("删除 端口 第 1 行")).click()
        expect(page.locator("#imagePorts-0")).to_have_value("rtsp")
        page.get_by_role("button", name="加一行 端口").click()
        expect(page.locator("#imagePorts-1")).to_be_focused()
        page.get_by_role("button", name="文本 端口").click()
        expect(page.locator("textarea#imagePorts")).to_have_value("rtsp:554")
        expect(keys).to_have_count(5)


def test_double_click_saves_once(browser: Browser, site: str) -> None:
    """A double click writes one version; going back and forward writes none."""
    image_id = registered(site, memRequests=1)
    with visiting(browser, f"{site}/images/{image_id}/edit") as page:
        page.locator("#memRequests").fill("2048")
        page.get_by_role("button", name="保存").dblclick()
        expect(page.locator("main")).to_contain_text("第 2 版")
        page.go_back()
        page.go_forward()
        expect(page.locator("main")).to_contain_text("第 2 版")
        assert stored(site, image_id)["memRequests"] == 2048


def test_conflict(browser: Browser, site: str) -> None:
    """Another user's change is shown at the field; saving again writes."""
    image_id = registered(site, memRequests=1, algoDesc="旧")
    with visiting(browser, f"{site}/images/{image_id}/edit") as page:
        changed(site, image_id, memRequests=3, algoDesc="他们的")
        page.locator("#memRequests").fill("2")
        page.keyboard.press("Control+s")
        expect(page.get_by_text("他人改为：3")).to_be_visible()
        expect(page.locator("#memRequests")).to_have_value("2")
        faultless_everywhere(page)
        picture(page, "conflict")
        page.get_by_role("button", name="保存").click()
        expect(page.locator("main")).to_contain_text("第 3 版")
        assert [stored(site, image_id)[name] for name in ("memRequests", "algoDesc")] == [2, "他们的"]


def test_leaving_asks_only_after_a_change(browser: Browser, site: str) -> None:
    """Leaving the page asks only after something was typed."""
    with visiting(browser, f"{site}/images/new") as page:
        asked: list[str] = []

        def stay(dialog: Any) -> None:
            asked.append(dialog.type)
            dialog.accept()

        page.on("dialog", stay)
        page.get_by_role("link", name="取消").click()
        expect(page).to_have_url(f"{site}/images")
        assert asked == []
        page.goto(f"{site}/images/new")
        page.locator("#factory").press_sequentially("大")
        page.get_by_role("link", name="取消").click()
        expect(page).to_have_url(f"{site}/images")
        assert asked == ["beforeunload"]


def test_history_and_delete(browser: Browser, site: str) -> None:
    """Buttons restore, delete and undelete."""
    image_id = registered(site, memRequests=1)
    changed(site, image_id, memRequests=2)
    with visiting(browser, f"{site}/images/{image_id}/history#v2") as page:
        expect(page.locator("#v2 .diff")).to_contain_text("memRequests")
        page.get_by_role("button", name="恢复到第 1 版").click()
        expect(page).to_have_url(f"{site}/images/{image_id}")
        page.get_by_role("link", name="删除").click()
        page.get_by_role("button", name=re.compile("^删除 walk.n")).click()
        expect(page.get_by_text("此镜像已删除。")).to_be_visible()
        faultless(page)
        page.get_by_role("button", name="撤销删除").click()
        expect(page.locator("main")).to_contain_text("第 5 版")


def test_copy_on_plain_http(browser: Browser, site: str) -> None:
    """The copy button works over HTTP, without a secure context."""
    image_id = registered(site)
    with visiting(browser, f"{site}/images/{image_id}") as page:
        page.evaluate("Object.defineProperty(window, 'isSecureContext', {value: false})")
        page.evaluate("document.addEventListener('copy', () => { window.copied = getSelection().toString() })")
        page.get_by_role("button", name="复制", exact=True).click()
        expect(page.locator("#said")).to_have_text("已复制")
        assert page.evaluate("copied").startswith("walk/n")


def test_select_and_delete(browser: Browser, site: str) -> None:
    """Selected rows are counted, and deleted after a confirmation that is followed by a result for each."""
    registered(site, factory="选中的")
    with visiting(browser, f"{site}/images?factory=选中的") as page:
        button = page.get_by_role("button", name="删除所选")
        expect(button).to_be_disabled()
        page.get_by_role("checkbox").first.check()
        expect(page.locator("#selected")).to_have_text("已选 1 个")
        button.click()
        page.get_by_role("button", name="删除所选").click()
        expect(page.locator("tbody")).to_contain_text("已删除")
        faultless(page)


def test_without_script(browser: Browser, site: str) -> None:
    """Search, forms and rows work without script."""
    with visiting(browser, f"{site}/images", java_script_enabled=False) as page:
        page.locator("#searchCondition").fill("车牌")
        page.get_by_role("button", name="搜索").click()
        expect(page.locator("main table tbody tr")).to_have_count(2)
        page.goto(f"{site}/images/new")
        page.get_by_role("button", name="加一行 端口").click()
        expect(page.locator("#imagePorts .row")).to_have_count(2)
        page.locator("#imageName").fill("walk/script")
        for name, value in (("imageTag", "1"), ("factory", "x"), ("algoName", "y")):
            page.locator(f"#{name}").fill(value)
        page.locator("#algoType").select_option("1")
        page.get_by_role("button", name="保存").click()
        expect(page.locator("main")).to_contain_text("第 1 版")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (320, "light"), (320, "dark")])
def test_accessible(browser: Browser, site: str, width: int, scheme: Any) -> None:
    """No page has an axe finding or scrolls sideways, in both colour schemes and at 1280 and 320 px."""
    image_id = registered(
        site, imagePorts="http:80", env="A:1", dependencyServiceId="algo/posterize:1.0", algoDesc="描述", memRequests=5
    )
    paths = ["/images", "/images?algoType=9", "/images?searchCondition=zzz", "/images/new", "/import", "/nowhere"]
    paths += [f"/images/{image_id}{page}" for page in ("", "/edit", "/history", "/delete")]
    with visiting(browser, f"{site}/images", color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": 900})
        for path in paths:
            page.goto(site + path)
            faultless(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.parametrize("root", ["direct", "prefix kept"])
def test_other_root_paths(browser: Browser, postgres: Postgres, root: str) -> None:
    """Search, links and forms work without a prefix, and with a prefix that the ingress keeps."""
    prefix = "" if root == "direct" else PREFIX
    with postgres.database() as dsn, serving_in_background(settings_for(dsn, root_path=prefix)) as url:
        site = f"{url}{prefix}/console"
        image_id = registered(site, algoName="车牌")
        with visiting(browser, f"{url}{prefix}/") as page:
            expect(page).to_have_url(f"{site}/images")
            page.locator("#searchCondition").fill("车牌")
            expect(page).to_have_url(re.compile("searchCondition"))
            page.locator("main table tbody a").click()
            page.get_by_role("link", name="编辑").click()
            page.locator("#memRequests").fill("7")
            page.get_by_role("button", name="保存").click()
            expect(page).to_have_url(f"{site}/images/{image_id}")
            page.get_by_role("button", name="English").click()
            expect(page.locator("main")).to_contain_text("Version 2")


def test_faults_of_a_whole_list(browser: Browser, site: str) -> None:
    """A fault of a whole list is shown at the list, and its link focuses the list."""
    with visiting(browser, f"{site}/images/new") as page:
        pasted(page, "#imageMount-0", "\n".join(f"/{at}{'a' * 1000}" for at in range(5)))
        expect(page.locator("#imageMount .row")).to_have_count(5)
        page.get_by_role("button", name="保存").click()
        link = page.get_by_role("alert").get_by_role("link", name=re.compile("imageMount长度"))
        link.click()
        expect(page.locator("#imageMount")).to_be_focused()
        faultless(page)
