"""The OpenAPI pages in a real browser that can reach only the service."""

import json
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from algoplatform.api.app import create_app
from algoplatform.domain.faults import Code
from algoplatform.settings import Settings
from tests.support.browsing import PREFIX, chromium, needs_chromium, picture, stripping, visiting
from tests.support.images import IMAGES, minimal
from tests.support.postgres import Postgres
from tests.support.service import serving_in_background, settings_for

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that resolves no other host."""
    with chromium("127.0.0.1") as launched:
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


def summaries() -> list[str]:
    """Return the summaries of all operations."""
    paths = create_app(Settings(database_url=None)).openapi()["paths"].values()
    return [operation["summary"] for path in paths for operation in path.values()]


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
    with visiting(browser, f"{service}/docs", refusals=False) as page:
        expect(page.locator(".opblock")).to_have_count(len(summaries()))
        shown = page.locator(".opblock-summary-description").all_inner_texts()
        assert sorted(shown) == sorted(summaries())
        picture(page, "docs", whole=False)
        picture(page, "docs-whole")


def test_redoc_shows_every_operation(browser: Browser, service: str) -> None:
    """/redoc has a section for each operation, with parameters and responses."""
    with visiting(browser, f"{service}/redoc", refusals=False) as page:
        for summary in summaries():
            expect(page.get_by_role("heading", name=summary)).to_be_visible()
        expect(page.get_by_text("服务暂时不可用（-503）").first).to_be_attached()
        picture(page, "redoc", whole=False)
        picture(page, "redoc-whole")


@pytest.mark.parametrize(("path", "operation"), [("docs", ".opblock"), ("redoc", 'div[id="operation/register"] h2')])
def test_operations_come_first(browser: Browser, service: str, path: str, operation: str) -> None:
    """The first screen of either page shows an operation; the status table unfolds on click."""
    with visiting(browser, f"{service}/{path}", refusals=False) as page:
        expect(page.locator(operation).first).to_be_in_viewport()
        rows = page.locator("details tbody tr")
        expect(rows).to_have_count(len(Code))
        expect(rows.first).to_be_hidden()
        page.get_by_text("状态码表", exact=True).click()
        expect(rows.first).to_be_visible()
        picture(page, f"{path}-status-table", whole=False)


def test_home_leads_to_the_docs(browser: Browser, service: str) -> None:
    """/ redirects a browser to Swagger UI."""
    with visiting(browser, f"{service}/", refusals=False) as page:
        expect(page.locator(".opblock").first).to_be_visible()
        assert page.url == f"{service}/docs"


def test_search_is_executed(browser: Browser, service: str) -> None:
    """*Execute* searches by query and shows the response."""
    with visiting(browser, f"{service}/docs", refusals=False) as page:
        block = opened(page, "get", f"{IMAGES}/_search")
        block.locator('tr[data-param-name="searchCondition"] input').fill("安全")
        answer = executed(block)
        assert "algo/helmet" in answer
        assert "查询成功" in answer
        block.locator(".live-responses-table").scroll_into_view_if_needed()
        picture(page, "execute", whole=False)


def test_search_by_body_is_executed(browser: Browser, service: str) -> None:
    """A search by body is prefilled with the document's example, and is executed as well."""
    with visiting(browser, f"{service}/docs", refusals=False) as page:
        block = opened(page, "post", f"{IMAGES}/_search")
        body = block.locator("textarea.body-param__text")
        assert json.loads(body.input_value()) == {"namespace": "", "searchCondition": "structure_new"}
        body.fill(json.dumps({"factory": "华录"}, ensure_ascii=False))
        answer = executed(block)
        assert "algo/helmet" in answer
        assert "华录" in answer
        picture(page, "execute-post", whole=False)
