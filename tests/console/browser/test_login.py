"""Logging in with a browser: expiry while typing, and accessibility of the login pages."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browsing import chromium, faultless_everywhere, needs_chromium, visiting
from tests.support.identity import Identity, identity_provider
from tests.support.postgres import Postgres
from tests.support.service import serving_in_background, settings_for
from tests.support.tokens import SETTINGS, token

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def provider() -> Iterator[Identity]:
    """An identity provider."""
    with identity_provider() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that also reaches the provider."""
    with chromium("127.0.0.1", "127.0.0.2") as launched:
        yield launched


@pytest.mark.parametrize("script", [True, False])
def test_expires_while_typing(browser: Browser, provider: Identity, postgres: Postgres, script: bool) -> None:
    """Saving after the token expired reports it and keeps the form; after a login in a new window, 保存 succeeds."""
    with (
        postgres.database() as dsn,
        serving_in_background(settings_for(dsn, **provider.settings)) as url,
        browser.new_context(locale="zh-CN", java_script_enabled=script) as context,
    ):
        page = context.new_page()
        page.goto(f"{url}/console/images/new")
        expect(page).to_have_url(f"{url}/console/images/new")
        expiry = int(time.time()) + 2
        context.add_cookies(
            [
                {
                    "name": "token0",
                    "value": token(provider.kid, exp=expiry),
                    "domain": "127.0.0.1",
                    "path": "/console",
                    "expires": expiry,
                    "httpOnly": True,
                }
            ]
        )
        for name, value in (("imageName", "algo/typed"), ("imageTag", "1"), ("factory", "x"), ("algoName", "y")):
            page.locator(f"#{name}").fill(value)
        page.locator("#algoType").select_option("1")
        page.wait_for_timeout(1000 * max(0, expiry + 1 - time.time()))
        page.get_by_role("button", name="保存").click()
        expect(page.get_by_role("alert").filter(has_text="登录已过期")).to_be_visible()
        expect(page.locator("#factory")).to_have_value("x")
        assert page.url == f"{url}/console/images/new"
        with context.expect_page() as opened:
            page.get_by_role("link", name="登录（新窗口）").click()
        expect(opened.value).to_have_url(f"{url}/console/images")
        page.get_by_role("button", name="保存").click()
        expect(page.locator("main")).to_contain_text("第 1 版")
        page.get_by_role("button", name="退出").click()
        expect(page.get_by_role("link", name="登录")).to_be_visible()


def test_pages_are_accessible(browser: Browser, provider: Identity, postgres: Postgres) -> None:
    """The login form, its fault, the page after logging out, and an expired form have no axe finding."""
    with (
        postgres.database() as dsn,
        serving_in_background(settings_for(dsn, **SETTINGS, jwks_url=provider.settings["jwks_url"])) as url,
        visiting(browser, f"{url}/console/images/new") as page,
    ):
        for text, told in (("", "令牌（JWT）由身份系统签发"), (token(exp=1), "令牌已过期")):
            page.locator("#token").fill(text)
            if text:
                page.get_by_role("button", name="登录").click()
            expect(page.locator("main")).to_contain_text(told)
            faultless_everywhere(page)
        page.locator("#token").fill(token())
        page.get_by_role("button", name="登录").click()
        expect(page).to_have_url(f"{url}/console/images/new")
        page.context.clear_cookies()
        # Submit as a browser without script would.
        page.evaluate("HTMLFormElement.prototype.submit.call(document.querySelector('#form'))")
        expect(page.get_by_role("alert").filter(has_text="登录已过期")).to_be_visible()
        faultless_everywhere(page)
        page.goto(f"{url}/console/login?to=/console/images")
        page.locator("#token").fill(token())
        page.get_by_role("button", name="登录").click()
        page.get_by_role("button", name="退出").click()
        expect(page.get_by_role("link", name="登录")).to_be_visible()
        faultless_everywhere(page)
