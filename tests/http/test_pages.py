"""The OpenAPI pages in a real browser that can reach only the service."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from starlette.types import Receive, Scope, Send

from algoplatform.api.app import create_app
from algoplatform.domain.faults import Code
from algoplatform.settings import Settings
from tests.support.images import IMAGES, minimal
from tests.support.postgres import Postgres
from tests.support.service import App, serving_in_background, settings_for

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
NO_OTHER_HOST = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
REPORT_VIOLATIONS = """document.addEventListener("securitypolicyviolation",
    event => console.error(`${event.effectiveDirective} forbids ${event.blockedURI}`))"""

expect.set_options(timeout=120_000)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that resolves no other host."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, NO_OTHER_HOST])
        with launched:
            yield launched


@pytest.fixture(scope="module", params=["direct", "prefix kept", "prefix stripped"])
def service(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[str]:
    """URL of a service with one image: direct, or behind either kind of prefixing ingress."""
    prefix = "" if request.param == "direct" else PREFIX
    proxy = stripping if request.param == "prefix stripped" else None
    with (
        postgres.database() as dsn,
        serving_in_background(settings_for(dsn, root_path=prefix, console=False), proxy) as url,
    ):
        answer = requests.post(
            f"{url}{prefix}{IMAGES}/_register", json=minimal("algo/helmet", factory="华录"), timeout=120
        )
        assert answer.headers["location"].startswith(f"{prefix}{IMAGES}/")
        yield url + prefix


def stripping(app: App) -> App:
    """An ingress that serves a prefix only, and strips it."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            outside = not scope["path"].startswith(f"{PREFIX}/")
            path = "/outside/the/prefix" if outside else scope["path"].removeprefix(PREFIX)
            scope = dict(scope, path=path, raw_path=path.encode())
        await app(scope, receive, send)

    return proxy


@contextmanager
def visiting(browser: Browser, address: str) -> Iterator[Page]:
    """Visit a page; no request may fail or leave the service, and the page's CSP must hold."""
    wrong: list[str] = []
    asked: set[str] = set()
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, locale="zh-CN")
    page.add_init_script(REPORT_VIOLATIONS)
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"{request.url}: {request.failure}"))
    page.on("response", lambda got: wrong.append(f"{got.url}: {got.status}") if got.status >= 400 else None)
    page.on("request", lambda request: asked.add(request.url))
    try:
        page.goto(address)
        yield page
    finally:
        page.close()
    assert wrong == []
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in ("blob", "data")}
    assert hosts == {urlsplit(address).netloc}


def summaries() -> list[str]:
    """Return the summaries of all operations."""
    paths = create_app(Settings(database_url=None)).openapi()["paths"].values()
    return [operation["summary"] for path in paths for operation in path.values()]


def picture(page: Page, name: str) -> None:
    """Save a screenshot if requested."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=name.endswith("whole"))


def opened(page: Page, method: str, path: str) -> Locator:
    """Open an operation of Swagger UI and press its *Try it out*."""
    block = page.locator(f".opblock-{method}", has=page.locator(f'[data-path="{path}"]'))
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    return block


def executed(block: Locator) -> str:
    """Press *Execute* and return the response."""
    block.get_by_role("button", name="Execute").click()
    live = block.locator(".live-responses-table tbody .response")
    expect(live.locator(".response-col_status")).to_contain_text("200")
    return live.locator(".response-col_description").inner_text()


def test_swagger_ui_shows_every_operation(browser: Browser, service: str) -> None:
    """/docs lists all operations by their Chinese summaries."""
    with visiting(browser, f"{service}/docs") as page:
        expect(page.locator(".opblock")).to_have_count(len(summaries()))
        shown = page.locator(".opblock-summary-description").all_inner_texts()
        assert sorted(shown) == sorted(summaries())
        picture(page, "docs")
        picture(page, "docs-whole")


def test_redoc_shows_every_operation(browser: Browser, service: str) -> None:
    """/redoc has a section for each operation, with parameters and responses."""
    with visiting(browser, f"{service}/redoc") as page:
        for summary in summaries():
            expect(page.get_by_role("heading", name=summary)).to_be_visible()
        expect(page.get_by_text("服务暂时不可用（-503）").first).to_be_attached()
        picture(page, "redoc")
        picture(page, "redoc-whole")


@pytest.mark.parametrize(("path", "operation"), [("docs", ".opblock"), ("redoc", 'div[id="operation/register"] h2')])
def test_operations_come_first(browser: Browser, service: str, path: str, operation: str) -> None:
    """The first screen of either page shows an operation; the status table unfolds on click."""
    with visiting(browser, f"{service}/{path}") as page:
        expect(page.locator(operation).first).to_be_in_viewport()
        rows = page.locator("details tbody tr")
        expect(rows).to_have_count(len(Code))
        expect(rows.first).to_be_hidden()
        page.get_by_text("状态码表", exact=True).click()
        expect(rows.first).to_be_visible()
        picture(page, f"{path}-status-table")


def test_home_leads_to_the_docs(browser: Browser, service: str) -> None:
    """/ redirects a browser to Swagger UI."""
    with visiting(browser, f"{service}/") as page:
        expect(page.locator(".opblock").first).to_be_visible()
        assert page.url == f"{service}/docs"


def test_search_is_executed(browser: Browser, service: str) -> None:
    """*Execute* searches by query and shows the response."""
    with visiting(browser, f"{service}/docs") as page:
        block = opened(page, "get", f"{IMAGES}/_search")
        block.locator('tr[data-param-name="searchCondition"] input').fill("安全")
        answer = executed(block)
        assert "algo/helmet" in answer
        assert "查询成功" in answer
        block.locator(".live-responses-table").scroll_into_view_if_needed()
        picture(page, "execute")


def test_search_by_body_is_executed(browser: Browser, service: str) -> None:
    """So does a search by body, prefilled with the document's example."""
    with visiting(browser, f"{service}/docs") as page:
        block = opened(page, "post", f"{IMAGES}/_search")
        body = block.locator("textarea.body-param__text")
        assert json.loads(body.input_value()) == {"namespace": "", "searchCondition": "structure_new"}
        body.fill(json.dumps({"factory": "华录"}, ensure_ascii=False))
        answer = executed(block)
        assert "algo/helmet" in answer
        assert "华录" in answer
        picture(page, "execute-post")
