"""Importing in a browser: preview, progress, writing, cancelling."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browsing import SAMPLE, faultless_everywhere, needs_chromium, picture, visiting
from tests.support.images import minimal

pytestmark = [pytest.mark.slow, needs_chromium]
# Enough images that checking takes longer than the interval between two progress events of the browser.
NUMBER = 20_000
WATCH = """() => {
    window.seen = [];
    const [step, bar] = [document.querySelector("#step"), document.querySelector("#bar")];
    const note = () => seen.push([step.textContent, bar.value]);
    new MutationObserver(note).observe(step, {childList: true});
    new MutationObserver(note).observe(bar, {attributes: true});
}"""


def test_import_with_progress(browser: Browser, site: str, tmp_path: Path) -> None:
    """A preview enables 写入, changing the form disables it; the progress rises until everything is written."""
    file = tmp_path / "list.json"
    file.write_text(json.dumps([minimal(f"load/n{at}", factory="进口") for at in range(NUMBER)]))
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps([minimal("Load/X", factory="进口")]))
    with visiting(browser, f"{site}/import") as page:
        write = page.get_by_role("button", name="写入")
        expect(write).to_be_disabled()
        page.locator("#file").set_input_files(wrong)
        page.get_by_role("button", name="预览").click()
        expect(page.locator("#result")).to_contain_text("文件有 1 处错误")
        expect(write).to_be_disabled()
        page.locator("#file").set_input_files(file)
        page.evaluate(WATCH)
        page.get_by_role("button", name="预览").click()
        expect(page.locator("#result")).to_contain_text(f"还有 {NUMBER - 1000:,} 个")
        _rose(page)
        picture(page, "preview")
        page.locator("#onConflict").select_option("skip")
        expect(write).to_be_disabled()
        page.get_by_role("button", name="预览").click()
        expect(write).to_be_enabled()
        page.evaluate(WATCH)
        write.click()
        expect(page.locator("#result")).to_contain_text("已写入")
        expect(page.locator("#result")).to_contain_text(f"{NUMBER:,} 新增")
        _rose(page)
        page.goto(f"{site}/images?factory=进口")
        expect(page.locator("#count")).to_have_text(f"共 {NUMBER:,} 个镜像")


def _rose(page: Page) -> None:
    """Check that the progress showed both steps and never decreased."""
    seen = page.evaluate("seen")
    assert {"正在发送", "正在检查"} <= {step for step, _ in seen}
    values = [value for _, value in seen]
    assert values == sorted(values)
    assert len(set(values)) > 2


def test_results_are_accessible(browser: Browser, site: str, tmp_path: Path) -> None:
    """Neither a preview nor a list of faults has an axe finding."""
    file = tmp_path / "list.json"
    with visiting(browser, f"{site}/import") as page:
        page.locator("#file").set_input_files(SAMPLE)
        page.get_by_role("button", name="预览").click()
        expect(page.locator("#result")).to_contain_text("12 不变")
        for some, told in ((minimal("load/one"), "1 新增"), (minimal("Load/X"), "文件有 1 处错误")):
            file.write_text(json.dumps([some]))
            page.locator("#file").set_input_files(file)
            page.get_by_role("button", name="预览").click()
            expect(page.locator("#result")).to_contain_text(told)
            faultless_everywhere(page)


def test_import_aborted(browser: Browser, site: str, tmp_path: Path) -> None:
    """取消 stops a running import; nothing is written."""
    file = tmp_path / "many.json"
    file.write_text(json.dumps([minimal(f"abort/n{at}", factory="中断") for at in range(NUMBER)]))
    with visiting(browser, f"{site}/import") as page:
        page.locator("#file").set_input_files(file)
        page.get_by_role("button", name="预览").click()
        page.get_by_role("button", name="取消").click()
        expect(page.locator("#result")).to_have_text("已取消，没有写入")
        expect(page.get_by_role("button", name="预览")).to_be_enabled()
