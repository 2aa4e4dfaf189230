"""Fixtures of the console's tests."""

from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser

from tests.support.browsing import CHROMIUM, PREFIX, SAMPLE, chromium, stripping
from tests.support.images import IMAGES
from tests.support.postgres import Postgres
from tests.support.service import serving_in_background, settings_for


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that resolves no host name and reaches only 127.0.0.1."""
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    with chromium("127.0.0.1") as launched:
        yield launched


@pytest.fixture(scope="module")
def site(postgres: Postgres) -> Iterator[str]:
    """The console's URL, behind an ingress that strips its prefix; the service has the sample images."""
    with (
        postgres.database() as dsn,
        serving_in_background(settings_for(dsn, root_path=PREFIX), stripping) as url,
    ):
        sample = {"file": SAMPLE.read_bytes()}
        answer = requests.post(f"{url}{PREFIX}{IMAGES}/_upload", files=sample, timeout=120)
        assert answer.status_code == 200
        yield f"{url}{PREFIX}/console"
