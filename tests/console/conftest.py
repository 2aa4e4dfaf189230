"""Fixtures of the console's tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.http.test_pages import ARGUMENTS, CHROMIUM, NO_OTHER_HOST


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that resolves no other host."""
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, NO_OTHER_HOST])
        with launched:
            yield launched
