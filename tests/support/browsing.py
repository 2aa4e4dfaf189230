"""A browser that reaches only the service, visits to its pages, and changes that other users make over the API."""

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from starlette.types import Receive, Scope, Send

from tests.support.images import IMAGES, minimal
from tests.support.service import App

CHROMIUM = shutil.which("chromium") or ""
# Folder for screenshots, for manual review.
PICTURES = os.environ.get("ALGOPLATFORM_TEST_PICTURES")
PREFIX = "/registry"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPORT_VIOLATIONS = """document.addEventListener("securitypolicyviolation",
    event => console.error(`${event.effectiveDirective} forbids ${event.blockedURI}`))"""
SAMPLE = Path(__file__).parents[2] / "examples" / "image_list.json"
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
_number = itertools.count()
_STATUS = "the server responded with a status of"

expect.set_options(timeout=120_000)


@contextmanager
def chromium(*hosts: str) -> Iterator[Browser]:
    """Run a headless Chromium that reaches only these hosts."""
    known = "".join(f" , EXCLUDE {host}" for host in hosts)
    arguments = [*ARGUMENTS, f"--host-resolver-rules=MAP * ~NOTFOUND{known}"]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=120_000) as launched,
    ):
        yield launched


def stripping(app: App) -> App:
    """An ingress that serves one path prefix only, and strips it."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            outside = not scope["path"].startswith(f"{PREFIX}/")
            path = "/outside/the/prefix" if outside else scope["path"].removeprefix(PREFIX)
            scope = dict(scope, path=path, raw_path=path.encode())
        await app(scope, receive, send)

    return proxy


@contextmanager
def visiting(browser: Browser, address: str, *, refusals: bool = True, **options: Any) -> Iterator[Page]:
    """Visit a page; no script may fail, nothing may leave the service or break the CSP.

    With `refusals`, the browser's own line about the status of a page is no error; without, any request that
    fails or is refused is one.
    """
    wrong: list[str] = []
    asked: set[str] = set()
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, locale="zh-CN", **options)
    context.add_init_script(REPORT_VIOLATIONS)
    page = context.new_page()
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.add(request.url))
    if not refusals:
        page.on("requestfailed", lambda request: wrong.append(f"{request.url}: {request.failure}"))
        page.on("response", lambda got: wrong.append(f"{got.url}: {got.status}") if got.status >= 400 else None)
    try:
        page.goto(address)
        yield page
    finally:
        context.close()
    assert [line for line in wrong if not (refusals and _STATUS in line)] == []
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in ("blob", "data")}
    assert hosts == {urlsplit(address).netloc}


def registered(site: str, **fields: Any) -> str:
    """Register an image with a unique name over the API, and return its id."""
    record = minimal(f"walk/n{next(_number)}", "1.0", **fields)
    answer = requests.post(f"{site.removesuffix('/console')}{IMAGES}/_register", json=record, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.headers["location"].rpartition("/")[2]


def stored(site: str, image_id: str) -> dict[str, Any]:
    """Return a record over the API."""
    answer = requests.get(f"{site.removesuffix('/console')}{IMAGES}/{image_id}", timeout=120)
    record: dict[str, Any] = answer.json()["res"]
    return record


def changed(site: str, image_id: str, **fields: Any) -> None:
    """Change an image over the API, as another user would."""
    record = stored(site, image_id) | fields
    answer = requests.post(f"{site.removesuffix('/console')}{IMAGES}/_update", json=record, timeout=120)
    assert answer.status_code == 200, answer.text


def everywhere(page: Page) -> Iterator[None]:
    """Show a page in both colour schemes at 1,280 and 320 px, then restore it."""
    size = page.viewport_size
    assert size
    for scheme, width in itertools.product(("light", "dark"), (1280, 320)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of two literals
        page.set_viewport_size({"width": width, "height": 900})
        yield
    page.emulate_media(color_scheme="null")
    page.set_viewport_size(size)


def faultless_everywhere(page: Page) -> None:
    """Check the accessibility of a page in both colour schemes, at 1,280 and at 320 px, without sideways scrolling."""
    for _ in everywhere(page):
        faultless(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


def faultless(page: Page) -> None:
    """Check the accessibility of a page against WCAG 2.2 AA and axe's best practices."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}})
    assert found.violations_count == 0, found.generate_report()


def picture(page: Page, name: str, *, whole: bool = True) -> None:
    """Save a screenshot of the whole page or of the visible part, if requested."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=whole)


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
