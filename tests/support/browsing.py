"""Visits to the console in a browser, beside others that change the registry by the API."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.http.test_pages import REPORT_VIOLATIONS
from tests.support.images import IMAGES, minimal

PICTURES = os.environ.get("ALGOPLATFORM_TEST_PICTURES")
SAMPLE = Path(__file__).parents[2] / "examples" / "image_list.json"
_number = itertools.count()


@contextmanager
def visiting(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """Visit a page; no script may fail, nothing may leave the service or break the CSP.

    The browser's own line about the status of a page is no error.
    """
    wrong: list[str] = []
    asked: set[str] = set()
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, locale="zh-CN", **options)
    context.add_init_script(REPORT_VIOLATIONS)
    page = context.new_page()
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.add(request.url))
    try:
        page.goto(address)
        yield page
    finally:
        context.close()
    assert [line for line in wrong if "the server responded with a status of" not in line] == []
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in ("blob", "data")}
    assert hosts == {urlsplit(address).netloc}


def registered(site: str, **fields: Any) -> str:
    """Register an image of its own name by the API and return its id."""
    record = minimal(f"walk/n{next(_number)}", "1.0", **fields)
    answer = requests.post(f"{site.removesuffix('/console')}{IMAGES}/_register", json=record, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.headers["location"].rpartition("/")[2]


def stored(site: str, image_id: str) -> dict[str, Any]:
    """Return a record."""
    answer = requests.get(f"{site.removesuffix('/console')}{IMAGES}/{image_id}", timeout=120)
    record: dict[str, Any] = answer.json()["res"]
    return record


def changed(site: str, image_id: str, **fields: Any) -> None:
    """Change an image as someone else does."""
    record = stored(site, image_id) | fields
    answer = requests.post(f"{site.removesuffix('/console')}{IMAGES}/_update", json=record, timeout=120)
    assert answer.status_code == 200, answer.text


def everywhere(page: Page) -> Iterator[None]:
    """Show a page in light and dark, 1,280 and 320 px wide; then as it was."""
    size = page.viewport_size
    assert size
    for scheme, width in itertools.product(("light", "dark"), (1280, 320)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of two literals
        page.set_viewport_size({"width": width, "height": 900})
        yield
    page.emulate_media(color_scheme="null")
    page.set_viewport_size(size)


def faultless_everywhere(page: Page) -> None:
    """Check the accessibility of a page in both schemes and down to 320 px, where it may not scroll sideways."""
    for _ in everywhere(page):
        faultless(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


def faultless(page: Page) -> None:
    """Check the accessibility of a page: WCAG 2.2 AA and best practice."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}})
    assert found.violations_count == 0, found.generate_report()


def picture(page: Page, name: str) -> None:
    """Save a screenshot if requested."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def pasted(page: Page, selector: str, text: str) -> None:
    """Paste a text into an input."""
    page.locator(selector).focus()
    page.locator(selector).evaluate(
        """(input, text) => {
            const data = new DataTransfer();
            data.setData("text", text);
            input.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
        }""",
        text,
    )
